package openai

import "github.com/isthmus-proxy/isthmus/translate/upstream"

// Takes reports whether requests to a deployment may have a parameter: whether its
// API knows that. OpenAI itself, Azure and Mistral refuse what they do not know. The
// servers of other providers, and other servers under OpenAI's name, have parameters
// of their own, of which there is no list: they take any.
func Takes(t *upstream.Target, p upstream.Param) bool {
	switch t.Provider {
	case "azure", "mistral":
		return knows(t.Provider, p.Name)
	case "openai":
		base, err := t.Base()
		return err != nil || !IsOpenAI(base) || knows(t.Provider, p.Name)
	}
	return true
}

// knows reports whether a name is a parameter of the API that OpenAI itself, Azure or
// Mistral serves.
func knows(provider, name string) bool {
	switch name {
	case "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
		"max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
		"prompt_cache_options",
		"prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
		"stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options":
		return true
	case "best_of", "echo", "prompt", "suffix": // completions
		return true
	case "dimensions", "encoding_format": // embeddings
		return true
	case "background", "context_management", "conversation", "include", "instructions", "max_output_tokens", "max_tool_calls",
		"previous_response_id", "reasoning", "text", "truncation": // responses
		return true
	case "output_compression", "output_format", "partial_images", "quality", "size", "style": // images
		return true
	case "speed", "stream_format", "voice": // speech
		return true
	case "data_sources", "user_security_context":
		return provider == "azure"
	case "output_dimension", "output_dtype", "prompt_mode", "random_seed", "safe_prompt":
		return provider == "mistral"
	}
	return false
}
