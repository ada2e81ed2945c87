package translate

import (
	"github.com/isthmus-proxy/isthmus/translate/anthropic"
	"github.com/isthmus-proxy/isthmus/translate/azure"
	"github.com/isthmus-proxy/isthmus/translate/gemini"
	"github.com/isthmus-proxy/isthmus/translate/ollama"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// entry is one line of the table of providers.
type entry struct {
	bind   func(*upstream.Target) (Translator, error)
	relays bool // the provider answers in OpenAI's format
}

// provider is the table of providers: the one place that names them all.
func provider(name string) (entry, bool) {
	switch name {
	case "anthropic":
		return entry{func(t *upstream.Target) (Translator, error) { return anthropic.New(t) }, false}, true
	case "azure":
		return entry{func(t *upstream.Target) (Translator, error) { return azure.New(t) }, true}, true
	case "gemini":
		return entry{func(t *upstream.Target) (Translator, error) { return gemini.New(t) }, false}, true
	case "ollama":
		return entry{func(t *upstream.Target) (Translator, error) { return ollama.New(t) }, false}, true
	case "openai", "custom_openai", "hosted_vllm", "lm_studio", "llamafile", "mistral", "groq", "deepseek", "xai", "openrouter",
		"together_ai", "fireworks_ai", "perplexity", "nvidia_nim", "cerebras", "sambanova", "deepinfra", "github", "moonshot", "dashscope":
		return entry{func(t *upstream.Target) (Translator, error) { return openai.New(t) }, true}, true
	}
	return entry{}, false
}
