package config

import "strings"

// Provider is what is known of a provider before any request: its address and
// the environment variables people set for it.
type Provider struct {
	Base     string   // default api_base; "" must be configured
	KeyVars  []string // where the key comes from when the file has none
	BaseVars []string // the same for api_base
	Keyless  bool     // works without a key
	// OwnAddress: the address is always the user's own (Azure), so that the key
	// of the environment is meant for it.
	OwnAddress bool
}

// Providers is the table of provider prefixes. Adding one that speaks OpenAI's
// format is one line here and one in translate/openai/family.go.
func Providers() map[string]Provider {
	family := func(base string, keys ...string) Provider { return Provider{Base: base, KeyVars: keys} }
	return map[string]Provider{
		"openai":    {Base: "https://api.openai.com/v1", KeyVars: []string{"OPENAI_API_KEY"}, BaseVars: []string{"OPENAI_BASE_URL", "OPENAI_API_BASE"}},
		"azure":     {KeyVars: []string{"AZURE_API_KEY", "AZURE_OPENAI_API_KEY"}, BaseVars: []string{"AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"}, OwnAddress: true},
		"anthropic": {Base: "https://api.anthropic.com", KeyVars: []string{"ANTHROPIC_API_KEY"}, BaseVars: []string{"ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"}},
		"gemini":    {Base: "https://generativelanguage.googleapis.com/v1beta", KeyVars: []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}, BaseVars: []string{"GEMINI_API_BASE"}},
		"ollama":    {Base: "http://localhost:11434", KeyVars: []string{"OLLAMA_API_KEY"}, BaseVars: []string{"OLLAMA_API_BASE_URL", "OLLAMA_API_BASE"}, Keyless: true},

		"custom_openai": {Keyless: true},
		"hosted_vllm":   {KeyVars: []string{"HOSTED_VLLM_API_KEY"}, BaseVars: []string{"HOSTED_VLLM_API_BASE"}, Keyless: true},
		"lm_studio":     {Base: "http://localhost:1234/v1", KeyVars: []string{"LM_STUDIO_API_KEY"}, BaseVars: []string{"LM_STUDIO_API_BASE"}, Keyless: true},
		"llamafile":     {Base: "http://localhost:8080/v1", BaseVars: []string{"LLAMAFILE_API_BASE"}, Keyless: true},
		"mistral":       family("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
		"groq":          family("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
		"deepseek":      family("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
		"xai":           family("https://api.x.ai/v1", "XAI_API_KEY"),
		"openrouter":    family("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
		"together_ai":   family("https://api.together.xyz/v1", "TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_TOKEN"),
		"fireworks_ai":  family("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
		"perplexity":    family("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
		"nvidia_nim":    family("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY"),
		"cerebras":      family("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
		"sambanova":     family("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
		"deepinfra":     family("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
		"github":        family("https://models.github.ai/inference", "GITHUB_API_KEY", "GITHUB_TOKEN"),
		"moonshot":      family("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
		"dashscope":     family("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
	}
}

// canonicalProvider maps other spellings of a prefix to the table's.
func canonicalProvider(prefix string) string {
	switch prefix {
	case "ollama_chat":
		return "ollama"
	case "azure_ai", "azure_text":
		return "azure"
	case "text-completion-openai":
		return "openai"
	}
	return prefix
}

// guessProvider names the provider of a model that has no prefix, for the names
// that can be only one's; "" otherwise.
func guessProvider(model string) string {
	for _, p := range []string{"gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-", "dall-e", "tts-", "omni-moderation", "text-moderation"} {
		if strings.HasPrefix(model, p) {
			return "openai"
		}
	}
	if strings.HasPrefix(model, "claude-") {
		return "anthropic"
	}
	return ""
}
