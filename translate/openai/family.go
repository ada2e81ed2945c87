package openai

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Server is a provider that speaks OpenAI's format, and how it departs from it.
type Server struct {
	upstream.Provider
	Quirks
}

// Family returns the table of OpenAI-format providers. It must not be changed.
func Family() []Server { return family }

// family is that table. A new provider is one line here, and nothing elsewhere.
var family = []Server{
	{openai, Quirks{}},

	{keyless("custom_openai", "", ""), Quirks{}},
	{keyless("hosted_vllm", "", "HOSTED_VLLM_API_KEY", "HOSTED_VLLM_API_BASE"), Quirks{Reasoning: true}},
	{keyless("lm_studio", "http://localhost:1234/v1", "LM_STUDIO_API_KEY", "LM_STUDIO_API_BASE"), Quirks{Renames: maxTokens}},
	{keyless("llamafile", "http://localhost:8080/v1", "", "LLAMAFILE_API_BASE"), Quirks{Renames: maxTokens}},

	{known(hosted("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"), "mistral-small-latest", "mistral_ai"), mistral},
	{hosted("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"), groq},
	{known(hosted("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"), "deepseek-chat", ""), deepseek},
	{known(hosted("xai", "https://api.x.ai/v1", "XAI_API_KEY"), "", "x_ai"), xai},
	{known(hosted("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"), "openai/gpt-4o-mini", ""), openrouter},
	{hosted("together_ai", "https://api.together.xyz/v1", "TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_TOKEN"), together},
	{hosted("fireworks_ai", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"), fireworks},
	{hosted("perplexity", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"), perplexity},
	{hosted("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"), cerebras},
	{
		hosted("nvidia_nim", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY"),
		Quirks{Renames: maxTokens, Lacks: bookkeeping, Plain: true},
	},
	{
		hosted("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
		Quirks{Renames: maxTokens, Lacks: bookkeeping, Plain: true, TextContent: true},
	},
	{hosted("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"), Quirks{Renames: maxTokens, Plain: true}},
	{hosted("github", "https://models.github.ai/inference", "GITHUB_API_KEY", "GITHUB_TOKEN"), Quirks{Plain: true}},
	{
		hosted("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
		Quirks{Renames: maxTokens, Lacks: legacyTools, Plain: true, TextContent: true},
	},
	{
		hosted("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
		Quirks{Renames: maxTokens, TextContent: true},
	},
}

var openai = upstream.Provider{
	Name: "openai", Aliases: []string{"text-completion-openai"}, Base: "https://api.openai.com/v1",
	KeyVars: []string{"OPENAI_API_KEY"}, BaseVars: []string{"OPENAI_BASE_URL", "OPENAI_API_BASE"},
	Models: []string{
		"gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-", "dall-e", "tts-", "omni-moderation", "text-moderation",
	},
	Example: "gpt-4o-mini",
}

// What several servers have in common.
var (
	maxTokens   = []Rename{{From: "max_completion_tokens", To: "max_tokens"}}
	bookkeeping = chat.Bookkeeping
	legacyTools = []string{"functions", "function_call"}
	logprobs    = []string{"logprobs", "top_logprobs", "logit_bias"}
	media       = []string{"modalities", "audio"}
)

// The servers that depart from OpenAI's format most. Each names its source.
var (
	// https://docs.mistral.ai/api/#tag/chat
	mistral = Quirks{
		Renames: append([]Rename{{From: "seed", To: "random_seed"}}, maxTokens...),
		Lacks: list(bookkeeping[:1], bookkeeping[2:], logprobs, legacyTools, media,
			[]string{"verbosity", "web_search_options", "service_tier", "top_k", "thinking"}),
		Values:          []Value{{"tool_choice", "required", "any"}},
		NoStreamOptions: true,
		NoNamedTool:     true,
		NoNulls:         true,
		NoEmptyTurns:    true,
		Plain:           true,
		PlainSchemas:    true,
		ShortCallIDs:    true,
		Drop:            []string{"name", "reasoning_content"},
		ContentLists:    true,
		Finish:          []Rename{{From: "model_length", To: "length"}},
	}
	// https://console.groq.com/docs/openai
	groq = Quirks{
		Lacks:     list(logprobs, media, []string{"n"}, bookkeeping[1:]),
		NoNulls:   true,
		Plain:     true,
		Drop:      []string{"name", "reasoning_content"},
		Reasoning: true,
	}
	// https://api-docs.deepseek.com/api/create-chat-completion
	deepseek = Quirks{
		Renames:     maxTokens,
		Lacks:       list(bookkeeping, legacyTools, media, []string{"logit_bias", "n"}),
		Plain:       true,
		TextContent: true,
		Thinking:    true,
	}
	// https://docs.x.ai/docs/api-reference#chat-completions
	xai = Quirks{
		Renames: maxTokens,
		Lacks:   list(bookkeeping[1:], legacyTools, media, []string{"web_search_options", "prediction"}),
		Models: []ModelLacks{
			{Model: "grok-4", Lacks: []string{"stop", "frequency_penalty"}},
			{Model: "grok-code", Lacks: []string{"stop", "frequency_penalty"}},
			{Model: "grok-3-mini", Lacks: []string{"stop"}},
		},
		Plain:        true,
		NoToolStrict: true,
		Drop:         []string{"name"},
		EmptyFinish:  true,
	}
	// https://openrouter.ai/docs/api-reference/parameters
	openrouter = Quirks{
		Adds:        []upstream.Param{{Name: "usage", Value: jsontext.Value(`{"include":true}`)}},
		Values:      []Value{{"reasoning_effort", "max", "xhigh"}},
		Plain:       true,
		CacheModels: []string{"claude", "gemini", "qwen"},
		Reasoning:   true,
	}
	// https://docs.together.ai/reference/chat-completions-1
	together = Quirks{
		Plain:     true,
		Lacks:     bookkeeping,
		Finish:    []Rename{{From: "eos", To: "stop"}},
		Reasoning: true,
	}
	// https://docs.fireworks.ai/api-reference/post-chatcompletions
	fireworks = Quirks{
		ModelPrefix: "accounts/fireworks/models/",
		Renames:     maxTokens,
		Values:      []Value{{"tool_choice", "required", "any"}},
		Lacks:       list(bookkeeping[1:2], media),
		Plain:       true,
	}
	// https://docs.perplexity.ai/api-reference/chat-completions-post
	perplexity = Quirks{
		Renames: maxTokens,
		Lacks: list([]string{"tools", "tool_choice", "parallel_tool_calls"}, legacyTools, logprobs, media, bookkeeping,
			[]string{"n", "stop", "seed", "prediction"}),
		Plain: true,
		Drop:  []string{"name", "reasoning_content"},
	}
	// https://inference-docs.cerebras.ai/resources/openai
	cerebras = Quirks{
		Renames:     maxTokens,
		Lacks:       list(bookkeeping[1:], media, []string{"frequency_penalty", "presence_penalty", "logit_bias", "service_tier"}),
		Plain:       true,
		TextContent: true,
		Reasoning:   true,
	}
)

// hosted is a provider with one address for everybody.
func hosted(name, base string, keys ...string) upstream.Provider {
	return upstream.Provider{Name: name, Base: base, KeyVars: keys}
}

// known is a provider with an example of a model, and its name in OpenTelemetry's
// conventions where that differs.
func known(p upstream.Provider, example, system string) upstream.Provider {
	p.Example, p.System = example, system
	return p
}

// keyless is a server of the user's own, which may have no key.
func keyless(name, base, key string, bases ...string) upstream.Provider {
	p := upstream.Provider{Name: name, Base: base, BaseVars: bases, Keyless: true}
	if key != "" {
		p.KeyVars = []string{key}
	}
	return p
}

func list(lists ...[]string) (all []string) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
