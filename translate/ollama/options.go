package ollama

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// params are the parameters of one request, sorted by the place they have in
// Ollama's body.
type params struct {
	chat.Sorted
	options chat.Members
}

// sort reads all parameters of a completion.
func (tr *Translator) sort(endpoint chat.Endpoint, c *chat.Completion) (*params, error) {
	p := &params{}
	if err := p.Each(endpoint, c, func(param upstream.Param) error { return tr.take(p, param) }); err != nil {
		return nil, err
	}
	if err := tr.takeDecoded(p, c); err != nil {
		return nil, err
	}
	return p, tr.target.Refuse(p.Lacking)
}

// takeDecoded reads the parameters that package chat has decoded.
func (tr *Translator) takeDecoded(p *params, c *chat.Completion) error {
	if c.MaxTokens != 0 {
		p.options.AddInt("num_predict", c.MaxTokens)
	}
	if len(c.Stop) > 0 {
		p.options.Add("stop", jsonedit.AppendStrings(nil, c.Stop))
	}
	if c.N > 1 {
		p.Lacking = append(p.Lacking, "n")
	}
	switch c.ResponseFormat.Type {
	case "json_object":
		p.Top.Add("format", jsontext.Value(`"json"`))
	case "json_schema":
		p.Top.Add("format", c.ResponseFormat.Schema)
	}
	if c.ReasoningEffort == "" {
		return nil
	}
	think, err := tr.think(c.ReasoningEffort)
	p.Top.Add("think", think)
	return err
}

// think returns the think member for a reasoning_effort: on or off, but for
// gpt-oss, which thinks at one of three levels.
// https://docs.ollama.com/capabilities/thinking
func (tr *Translator) think(effort string) (jsontext.Value, error) {
	switch effort {
	case "none", "disable":
		return jsontext.Value("false"), nil
	case "minimal":
		if tr.levels {
			return jsontext.Value(`"low"`), nil
		}
		return jsontext.Value("false"), nil
	case "low", "medium", "high":
		if tr.levels {
			return jsontext.Value(`"` + effort + `"`), nil
		}
		return jsontext.Value("true"), nil
	case "xhigh", "max":
		if tr.levels {
			return jsontext.Value(`"high"`), nil
		}
		return jsontext.Value("true"), nil
	}
	return nil, upstream.BadRequest("reasoning_effort", "'reasoning_effort' must be none, minimal, low, medium, high or xhigh")
}

// take reads one parameter. What is neither OpenAI's nor a member of the body is
// an option: Ollama overlooks those it does not know.
func (tr *Translator) take(p *params, param upstream.Param) error {
	if param.Value.Kind() == 'n' || slices.Contains(chat.Bookkeeping, param.Name) {
		return nil
	}
	switch param.Name {
	case "service_tier", "parallel_tool_calls":
		return nil // left out: they change no answer
	case "keep_alive", "think", "format", "truncate", "shift", "logprobs", "top_logprobs":
		p.Top.Add(param.Name, param.Value)
	case "options":
		return takeOptions(p, param.Value)
	case "thinking":
		return takeThinking(p, param.Value)
	case "logit_bias", "modalities", "audio", "prediction", "verbosity", "web_search_options", "suffix", "echo", "best_of":
		p.Unknown(tr.target, param)
	default:
		if tr.target.Allows(param.Name) {
			p.Top.Add(param.Name, param.Value)
			return nil
		}
		p.options.Add(param.Name, param.Value)
	}
	return nil
}

// takeOptions reads Ollama's own options object.
func takeOptions(p *params, value jsontext.Value) error {
	object, err := jsonedit.Parse(value)
	if err != nil {
		return upstream.BadRequest("options", "'options' must be an object")
	}
	for _, m := range object.Members() {
		if !chat.IsSteering(m.Name) {
			p.options.Add(m.Name, object.Value(m))
		}
	}
	return nil
}

// takeThinking reads Anthropic's thinking parameter, which LiteLLM's clients use
// for every provider.
func takeThinking(p *params, value jsontext.Value) error {
	var w struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(value, &w); err != nil {
		return upstream.BadRequest("thinking", "'thinking' must be an object with a 'type'")
	}
	p.Top.Add("think", strconv.AppendBool(nil, w.Type != "disabled"))
	return nil
}
