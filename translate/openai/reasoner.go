package openai

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// reasoner is what the name of one of OpenAI's own reasoning models says about
// the parameters it takes. The zero reasoner is any other model.
// https://platform.openai.com/docs/guides/reasoning
type reasoner struct {
	lacks  []string
	pauses bool // an effort of "none" gives it the sampling parameters back
	still  bool // "none" is the effort it has unasked
}

// What the reasoning models refuse, since it does not fit their sampling. They
// have one temperature, 1.
var (
	oSeriesLacks = []string{"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"}
	gpt5Lacks    = append([]string{"stop", "modalities", "audio", "prediction"}, oSeriesLacks...)
)

// reasonerOf reads a model's name.
func reasonerOf(model string) reasoner {
	name := model[strings.LastIndexByte(model, '/')+1:]
	switch {
	case !reasoningModel(model), strings.HasPrefix(name, "gpt-5-chat"):
		return reasoner{}
	case name[0] == 'o':
		return reasoner{lacks: oSeriesLacks}
	}
	return reasoner{lacks: gpt5Lacks, pauses: true, still: reasonsOnlyIfAsked(name)}
}

// reasonsOnlyIfAsked reports whether a model of the GPT-5 family does not reason unless
// the request says so.
func reasonsOnlyIfAsked(name string) bool {
	for _, kind := range [...]string{"-codex", "-pro", "-chat"} {
		if strings.Contains(name, kind) {
			return false
		}
	}
	for _, version := range [...]string{"gpt-5.1", "gpt-5.2", "gpt-5.4"} {
		if name == version || strings.HasPrefix(name, version+"-") {
			return true
		}
	}
	return false
}

// paramsOfOtherModels returns parameters that are meant for another model and that this one
// refuses: where the deployment drops what is lacking they go too. Without that
// OpenAI says itself what it does not know.
func paramsOfOtherModels(model string) []string {
	name := model[strings.LastIndexByte(model, '/')+1:]
	for _, prefix := range [...]string{"gpt-3.5", "gpt-35", "gpt-4", "chatgpt-4"} {
		if strings.HasPrefix(name, prefix) {
			return []string{"thinking", "reasoning_effort", "verbosity"}
		}
	}
	return []string{"thinking"}
}

// rests reports whether a request with this reasoning_effort (nil: without one)
// lets the model answer without reasoning.
func (r *reasoner) rests(effort jsontext.Value) bool {
	if effort == nil || effort.Kind() == 'n' {
		return r.still
	}
	return r.pauses && isString(effort, "none")
}

// sampling reports whether a parameter says how the next token is drawn or what
// was likely: what reasoning models take while they rest.
func sampling(name string) bool {
	switch name {
	case "temperature", "top_p", "logprobs", "top_logprobs":
		return true
	}
	return false
}

// reasoningModel reports whether a model refuses max_tokens and wants
// max_completion_tokens: the o-series and GPT-5 and later.
// https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens
func reasoningModel(model string) bool {
	name := model[strings.LastIndexByte(model, '/')+1:]
	switch {
	case len(name) >= 2 && name[0] == 'o' && name[1] >= '1' && name[1] <= '9':
		return len(name) == 2 || name[2] == '-'
	case strings.HasPrefix(name, "gpt-5"), strings.HasPrefix(name, "gpt-6"):
		return true
	}
	return false
}
