package litellm

// top answers the keys at the top of the file.
func top() []Rule {
	return []Rule{
		{Entry{Answer: Works}, `model_list general_settings litellm_settings router_settings environment_variables credential_list`},
		{Entry{Answer: Works, Ours: true}, `include`}, // LiteLLM reads it elsewhere than the rest
		{Entry{Answer: Refused, Note: "isthmus has no guardrails: put them before the gateway"}, `guardrails policies policy_attachments`},
		{Entry{Answer: Ignored, Note: "loggers: docs/callbacks.md"}, `callback_settings`},
		{Entry{Answer: Ignored, Note: notOurCloud}, `default_vertex_config`},
		{Entry{Answer: Ignored, Note: noFeature}, `agent_list agents assistant_settings files_settings finetune_settings mcp_servers
			mcp_tools prompts sandbox_tools search_tools vector_store_registry worker_registry`},
	}
}

// cacheParams answers the members of cache_params.
func cacheParams() []Rule {
	return []Rule{
		{Entry{Answer: Works}, `type ttl default_in_redis_ttl default_in_memory_ttl namespace mode supported_call_types host port
			password redis_startup_nodes`},
		{Entry{Answer: Works, Ours: true}, `max_entry_size max_size username url ssl ssl_ca_certs ssl_cert_reqs ssl_certfile
			ssl_keyfile db sentinel_nodes service_name`}, // LiteLLM hands most of them to its Redis client
		{Entry{Answer: Ignored, Note: "isthmus has no such limit"}, `max_messages redis_flush_size`},
		{Entry{Answer: Ignored, Note: "set ttl"}, `default_redis_ttl`},
		{Entry{Answer: Ignored, Note: "the cache is local or redis, and its keys are exact"}, `azure_* cache disk_cache_dir gcp_* gcs_*
			qdrant_* redis_semantic_* s3_* semantic_cache_* similarity_threshold valkey_* _backend`},
	}
}

// callbacks answers the names in success_callback, failure_callback and callbacks.
func callbacks() []Rule {
	return []Rule{
		{Entry{Answer: Works}, `langfuse mlflow prometheus otel`},
		{Entry{Answer: Works, Ours: true}, `webhook exec:*`},
		{Entry{Answer: WorksAs, Note: "langfuse"}, `langfuse_otel`},
		{Entry{Answer: WorksAs, Note: "webhook"}, `generic_api`},
		{Entry{Answer: WorksAs, Note: "otel", Ours: true}, `opentelemetry`},
		{Entry{Answer: Refused, Note: "isthmus has no guardrails: put them before the gateway"}, `aporia_prompt_injection
			azure_content_safety banned_keywords blocked_user_check detect_prompt_injection google_text_moderation hide_secrets
			lakera_prompt_injection llamaguard_moderations llmguard_moderations openai_moderations presidio`},
		{Entry{Answer: Refused, Note: "isthmus's limits are rpm, tpm and max_parallel_requests of a " +
			"deployment, model_group_limits and tenant_limits"},
			`dynamic_rate_limiter dynamic_rate_limiter_v3`},
		{Entry{Answer: Ignored, Note: "send the spans to its collector with otel"}, `arize arize_phoenix logfire traceloop weave_otel
			langtrace levo signoz newrelic agentops`},
		{Entry{Answer: Ignored, Note: "alert on the metrics: " +
			"docs/metrics.md"}, `pagerduty slack sentry resend_email sendgrid_email smtp_email`},
		{Entry{Answer: Ignored, Note: noFeature}, `anthropic_cache_control_hook batch_redis_requests bitbucket gitlab dotprompt
			code_interpreter_interception compression_interception litellm_agent vector_store_pre_call_hook websearch_interception`},
		{Entry{Answer: Ignored, Note: "post the records to it with webhook, or exec:COMMAND"}, `argilla athina aws_sqs azure_sentinel
			azure_storage braintrust clickhouse cloudzero datadog datadog_* deepeval dynamodb focus galileo gcs_bucket gcs_pubsub
			greenscale helicone humanloop lago langsmith literalai lunary mavvrik openmeter opik pointfive posthog promptlayer s3
			s3_v2 supabase ternary vantage wandb zerobus`},
	}
}

// environment answers the variables. They are other programs' too, so that none is
// refused or warned of.
func environment() []Rule {
	return []Rule{
		{Entry{Answer: Works}, `LITELLM_MASTER_KEY LITELLM_CORS_ORIGINS LITELLM_LOG JSON_LOGS LANGFUSE_PUBLIC_KEY LANGFUSE_SECRET_KEY
			LANGFUSE_BASE_URL LANGFUSE_HOST GENERIC_LOGGER_ENDPOINT GENERIC_LOGGER_HEADERS REDIS_URL REDIS_HOST REDIS_PORT REDIS_PASSWORD
			REDIS_USERNAME REDIS_SSL SSL_CERT_FILE`},
		{Entry{Answer: Works, Ours: true}, `LITELLM_NUM_RETRIES LITELLM_REQUEST_TIMEOUT LITELLM_VERBOSE
			MLFLOW_* REDIS_SSL_CA_CERTS REDIS_SSL_CERT_REQS REDIS_SSL_CERTFILE REDIS_SSL_KEYFILE OPENAI_API_VERSION
			AZURE_OPENAI_ENDPOINT OLLAMA_API_BASE_URL NVIDIA_API_KEY GITHUB_TOKEN`},
		{Entry{Answer: Works, Note: "key or address of a provider: docs/providers.md"}, `ANTHROPIC_API_KEY ANTHROPIC_API_BASE
			ANTHROPIC_BASE_URL AZURE_API_KEY AZURE_OPENAI_API_KEY AZURE_API_BASE AZURE_API_VERSION CEREBRAS_API_KEY
			DASHSCOPE_API_KEY DEEPINFRA_API_KEY DEEPSEEK_API_KEY FIREWORKS_AI_API_KEY FIREWORKS_API_KEY GEMINI_API_BASE
			GEMINI_API_KEY GITHUB_API_KEY GOOGLE_API_KEY GROQ_API_KEY HOSTED_VLLM_API_BASE HOSTED_VLLM_API_KEY
			LLAMAFILE_API_BASE LM_STUDIO_API_BASE LM_STUDIO_API_KEY MISTRAL_API_KEY MOONSHOT_API_KEY NVIDIA_NIM_API_KEY
			OLLAMA_API_BASE OLLAMA_API_KEY OPENAI_API_BASE OPENAI_API_KEY OPENAI_BASE_URL OPENROUTER_API_KEY
			PERPLEXITYAI_API_KEY PERPLEXITY_API_KEY SAMBANOVA_API_KEY TOGETHERAI_API_KEY TOGETHER_AI_TOKEN TOGETHER_API_KEY
			XAI_API_KEY`},
		{Entry{Answer: Works, Note: "traces: docs/operations.md"}, `OTEL_EXPORTER_* OTEL_SDK_DISABLED OTEL_SERVICE_NAME`},
		{Entry{Answer: Ignored, Note: noDatabase}, `DATABASE_* DIRECT_URL PRISMA_* SPEND_* STORE_* LITELLM_SALT_KEY PROXY_BUDGET_*`},
		{Entry{Answer: Ignored, Note: "Envoy carries the connections"}, `AIOHTTP_* SSL_* *_PROXY LITELLM_SSL_CIPHERS LITELLM_HTTP2`},
		{Entry{Answer: Ignored, Note: "a provider, logger or guardrail that isthmus does not speak to, or " +
			"another address of one that it does"},
			`*_API_KEY *_API_BASE *_BASE_URL *_TOKEN *_SECRET *_URL *_ENDPOINT *_HOST AWS_* AZURE_* VERTEX* WATSONX_* WX_*
			GCS_* DD_* SMTP_* SLACK_* LANGFUSE_* LANGSMITH_* OTEL_*`},
		{Entry{Answer: Ignored, Note: "how LiteLLM itself runs, or a variable of your own"}, `*`},
	}
}

// body answers the members of a client's body that litellm_params does not: see
// [Lookup].
func body() []Rule {
	return []Rule{
		{Entry{Answer: Works}, `num_retries timeout request_timeout stream_timeout fallbacks disable_fallbacks drop_params tags cache
			caching turn_off_message_logging litellm_trace_id litellm_session_id`},
		{Entry{Answer: Works, Note: toProvider, Sent: true}, `model best_of container data documents error fields
			generationConfig input_file_id method retrieval_config state system systemInstruction
			system_instruction toolConfig tool_config`},
		{Entry{Answer: WorksAs, Note: "turn_off_message_logging"}, `no-log no_log`},
		{Entry{Answer: Refused, Note: "isthmus has no guardrails, so that the request would go on without them"},
			`guardrails guardrail_config policies`},
		{Entry{Answer: Refused, Note: "isthmus does not choose by region"}, `allowed_model_region`},
		{Entry{Answer: Ignored}, `_batch_* _target_order billed_failed_attempts combined_usage_object
			include_guardrail_response litellm_params response_cost router_settings_override start_time
			user_config vector_store_ids`},
		{Entry{Answer: Ignored, Ours: true}, `context_window_fallbacks content_policy_fallbacks`},
	}
}
