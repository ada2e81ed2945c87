package ollama

// Knows reports whether a name is a parameter that this package has a place for in
// Ollama's body. The server overlooks options that it does not have.
// https://docs.ollama.com/modelfile#parameter
func Knows(name string) bool {
	switch name {
	case "keep_alive", "think", "format", "truncate", "shift", "logprobs", "top_logprobs", "options", "thinking":
		return true
	case "temperature", "top_p", "top_k", "min_p", "typical_p", "tfs_z", "seed", "num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu",
		"main_gpu", "num_thread", "use_mmap", "use_mlock", "low_vram", "numa", "vocab_only", "f16_kv", "repeat_penalty", "repeat_last_n",
		"presence_penalty", "frequency_penalty", "penalize_newline", "mirostat", "mirostat_eta", "mirostat_tau", "draft_num_predict":
		return true
	case "max_tokens", "max_completion_tokens", "stop", "n", "response_format", "reasoning_effort", "tools", "tool_choice", "functions",
		"function_call", "parallel_tool_calls", "service_tier", "dimensions", "encoding_format",
		"user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention":
		return true
	}
	return false
}
