package litellm

import "slices"

// Notes that several rules share.
const (
	toProvider   = "goes to the provider"
	notOurCloud  = "isthmus does not speak to this provider yet"
	noDatabase   = "isthmus has no database: it keeps no keys, teams, users or spend"
	noFeature    = "isthmus has no such feature"
	noPrice      = "only input_cost_per_token and output_cost_per_token are counted"
	internalName = "LiteLLM's own, between its parts"
	oneLogger    = "set the logger up in the settings, for all requests"
)

// params answers the members of litellm_params.
func params() []Rule { return slices.Concat(workingParams(), restrictingParams(), ignoredParams()) }

func workingParams() []Rule {
	return []Rule{
		{Entry{Answer: Works}, `model custom_llm_provider api_key azure_ad_token api_base base_url api_version deployment_id organization
			headers extra_headers mock_response timeout request_timeout stream_timeout num_retries max_retries weight tags
			max_parallel_requests drop_params additional_drop_params allowed_openai_params base_model order cooldown_time
			input_cost_per_token output_cost_per_token rpm tpm itpm otpm litellm_credential_name`},
		{Entry{Answer: Works, Ours: true}, `stream_passthrough allowed_fails allowed_fails_policy ttft_timeout stream_idle_timeout`},
		{Entry{Answer: Works, Note: toProvider, Sent: true}, `audio background dimensions encoding_format extra_body
			frequency_penalty function_call functions include include_server_side_tool_invocations input instructions logit_bias
			logprobs max_completion_tokens max_output_tokens max_tokens messages metadata modalities n parallel_tool_calls
			prediction presence_penalty previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning
			reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature
			text text_format thinking tool_choice tools top_logprobs top_p truncation user verbosity web_search_options
			agent cache_control config container_id contents document endpoint engine file output_config priority
			prompt_cache_options purpose query response_id session session_id top_k top_n_tokens voice`},
	}
}

func restrictingParams() []Rule {
	return []Rule{
		{Entry{Answer: Refused, Note: "isthmus keeps no budget: set rpm or tpm, or a budget at the provider"},
			`max_budget budget_duration`},
		{Entry{Answer: Refused, Note: "isthmus counts per minute: set rpm or tpm"}, `rpd tpd daily_reset_time`},
		{Entry{Answer: Refused, Note: "isthmus has no keys of its own: set tenant_header and tenant_limits"},
			`default_api_key_rpm_limit default_api_key_tpm_limit`},
		{Entry{Answer: Refused, Note: "the records of all deployments are redacted, or none: set turn_off_message_logging in litellm_settings"},
			`turn_off_message_logging no-log no_log litellm_disabled_callbacks`},
		{Entry{Answer: Refused, Note: "isthmus has no guardrails: put them before the gateway"}, `guardrails`},
		{Entry{Answer: Refused, Note: "isthmus does not choose by region: leave out the deployments of other regions"},
			`allowed_model_region`},
		{Entry{Answer: Refused, Note: "isthmus takes no files: bound the requests by max_request_size_mb"}, `max_file_size_mb`},
		{Entry{Answer: Refused, Note: "isthmus trusts the system's certificates for all providers: name a " +
			"file of your own in $SSL_CERT_FILE"},
			`ssl_verify`},
	}
}

func ignoredParams() []Rule {
	return []Rule{
		{Entry{Answer: Ignored, Note: "an azure deployment logs in with azure_ad_token or api_key"},
			`tenant_id client_id client_secret azure_username azure_password azure_scope azure_ad_token_provider azure`},
		{Entry{Answer: Ignored, Note: notOurCloud}, `aws_* s3_* bedrock_tags sagemaker_base_url vertex_* gcs_* bucket_name
			region_name watsonx_* wx_credentials zen_api_key oci_* databricks_user_agent gigachat_* github_copilot_*
			chatgpt_auth_file use_xai_oauth fireworks_forward_user_id hf_model_name hugging_face replicate together_ai
			allow_legacy_cloud_file_ids kubernetes_pod_discovery responses_api_version continuation_token
			use_litellm_proxy data_residency`},
		{Entry{Answer: Ignored, Note: "log in with api_key"}, `anthropic_federation_* anthropic_identity_* anthropic_issuer_*
			anthropic_keycloak_* anthropic_organization_id anthropic_service_account_id
			anthropic_disable_workload_identity_federation openai_identity_* openai_service_account_id token_exchange_*`},
		{Entry{Answer: Ignored, Note: noPrice}, `*_cost_per_* *_token_cost *_token_cost_* cost_per_second cost_per_query
			tiered_pricing fedramp_uplift_multiplier regional_*_multiplier* output_vector_size`},
		{Entry{Answer: Ignored, Note: oneLogger}, `langfuse_* langsmith_* arize_* dd_* humanloop_api_key newrelic_* posthog_*
			signoz_* wandb_api_key weave_project_id logger_fn callbacks success_callback failure_callback verbose log_client_error_tracebacks
			_langfuse_masking_function`},
		{Entry{Answer: Ignored, Note: "say it in router_settings, by model group"},
			`fallbacks context_window_fallback_dict max_fallbacks retry_policy retry_strategy routing_strategy
			enable_tag_filtering caching_groups fastest_response model_alias_map tag_regex`},
		{Entry{Answer: Ignored, Note: "say it in cache_params, for all requests"}, `cache cache_key caching preset_cache_key ttl`},
		{Entry{Answer: Ignored, Note: "clients cannot change a deployment's address or key"},
			`configurable_clientside_auth_params allow_client_keepalive_override client_side_timeout`},
		{Entry{Answer: Ignored, Note: "set timeout and stream_timeout"},
			`force_timeout stream_timeout_by_service_tier timeout_by_service_tier mock_timeout mock_delay
			mock_tool_calls keepalive_seconds`},
		{Entry{Answer: Ignored, Note: "isthmus shapes no prompts: the client sends what the model is to read"},
			`prompt_environment prompt_id prompt_label prompt_variables prompt_version
			litellm_system_prompt custom_prompt_dict roles bos_token eos_token initial_prompt_value
			final_prompt_value assistant_continue_message user_continue_message ensure_alternating_roles
			supports_system_message enable_prompt_caching disable_add_transform_inline_image_block`},
		{Entry{Answer: Ignored, Note: "mark the messages themselves with cache_control"}, `cache_control_injection_points`},
		{Entry{Answer: Ignored, Note: "Envoy carries the connections", Ours: true}, `http_proxy https_proxy`},
		{Entry{Answer: Ignored, Note: noFeature}, `adaptive_router_* auto_router_* complexity_router_* quality_router_*
			switchyard_router_config silent_model max_agentic_loops search_tool_name embedding_model index_name milvus_*
			valkey_* vector_bucket_name vector_store_id model_file_id_mapping use_in_pass_through
			merge_reasoning_content_in_choices thought_signature_in_tool_call_id use_chat_completions_api
			enable_json_schema_validation stream_chunk_size provider_affinity_header provider_specific_header`},
		{Entry{Answer: Ignored, Note: internalName}, `_agentic_loop_* _code_interpreter_* _context_compaction_state
			_encrypted_content_affinity_pinned _headroom_* _litellm_* _router_weights _websearch_interception_* _arealtime
			_is_litellm_internal_call _skip_mcp_handler _skip_responses_api_bridge acreate_batch acreate_fine_tuning_job
			amoderation arerank aresponses aspeech atranscription call_type exception include_fallback_errors
			original_function original_generic_function passthrough specific_deployment standard_logging_object acompletion
			aembedding aimg_generation allm_passthrough_route api_type async_call atext_completion attempted_targets client
			complete_response completion_call_id extra_query fallback_depth id litellm_* model_config model_id model_info
			model_list proxy_server_request rust secret_fields shared_session stream_response text_completion use_client
			user_api_key_end_user_id`},
	}
}

// modelInfo answers the members of model_info. What is not named is the user's own.
func modelInfo() []Rule {
	return []Rule{
		{Entry{Answer: Works}, `id mode max_input_tokens base_model input_cost_per_token output_cost_per_token rpm tpm itpm otpm`},
		{Entry{Answer: Works, Ours: true}, `order cooldown_time allowed_fails allowed_fails_policy`},
		{Entry{Answer: Refused, Note: "isthmus has no access groups: give these clients a gateway, or a " +
			"model_name behind your mesh's authorization"},
			`access_groups access_via_team_ids team_id`},
		{Entry{Answer: Refused, Note: "isthmus serves the model at all times and to everybody: take the entry out"},
			`blocked access_windows supported_environments`},
		{Entry{Answer: Refused, Note: "isthmus serves every endpoint that the provider has: give endpoints " +
			"of their own an entry, and let your Envoy choose by path"},
			`enforce_supported_endpoints`},
		{Entry{Answer: Ignored, Note: "shown nowhere"}, `created_at created_by updated_at updated_by db_model custom_metadata
			custom_tags deprecation_date display_name successor_model key tier model_id model_name original_model_id
			litellm_provider pricing_provider team_public_model_name discoverable internal_router_model
			litellm_routing_preferences member_auto_router allow_fail_open enable_tag_filtering provider_specific_entry`},
		{Entry{Answer: Ignored, Note: noPrice}, `*_cost_per_* *_token_cost *_token_cost_* cost_per_second tiered_pricing
			fedramp_uplift_multiplier regional_*_multiplier* output_vector_size off_peak_pricing cost_per_ptu_per_hour ptu_*
			search_free_requests web_search_billing_unit`},
		{Entry{Answer: Ignored, Note: "isthmus sends no requests of its own to look after deployments"}, `health_check_*`},
		{Entry{Answer: Ignored, Note: "isthmus knows what each provider takes: docs/providers.md"}, `supports_* supported_*
			bedrock_* reasoning_* thinking_* token_count_* default_reasoning_effort max_embedding_batch_size max_output_tokens
			max_tokens prompt_cache_min_tokens use_openai_responses_path uses_embed_content vertex_ai_audio_api`},
	}
}
