package litellm

import "slices"

// settings answers the members of general_settings, litellm_settings and
// router_settings.
func settings() []Rule {
	return slices.Concat(workingSettings(), restrictingSettings(), ignoredOfTheProxy(), ignoredOfRequests())
}

func workingSettings() []Rule {
	return []Rule{
		{Entry{Answer: Works}, `master_key drop_params set_verbose json_logs max_parallel_requests max_request_size_mb
			turn_off_message_logging routing_strategy routing_strategy_args num_retries retry_after timeout stream_timeout
			request_timeout allowed_fails allowed_fails_policy cooldown_time disable_cooldowns max_fallbacks enable_pre_call_checks
			enable_tag_filtering tag_filtering_match_any retry_policy model_group_retry_policy model_group_alias fallbacks
			default_fallbacks context_window_fallbacks content_policy_fallbacks cache cache_params redis_url redis_host
			redis_port redis_password redis_db success_callback failure_callback callbacks generic_logger_headers
			credential_list default_litellm_params`},
		{Entry{Answer: WorksAs, Note: "max_parallel_requests"}, `global_max_parallel_requests`},
		{Entry{Answer: Works, Ours: true}, `cors_allow_origins max_request_body_bytes stream_usage enable_request_queue
			queue_max_size queue_timeout tenant_header tenant_limits allowed_fails_window retry_budget_percent
			retry_budget_min_per_second stream_failover ttft_timeout stream_idle_timeout
			model_group_limits fallback_models redis_timeout redis_username redis_ssl
			redis_ssl_ca_certs redis_ssl_cert_reqs redis_ssl_certfile redis_ssl_keyfile langfuse_public_key
			langfuse_secret_key langfuse_secret langfuse_host mlflow_* webhook_* callback_spill_dir`},
	}
}

// restrictingSettings are those whose loss lets in, lets out or spends what
// LiteLLM would not have.
func restrictingSettings() []Rule {
	return []Rule{
		{Entry{Answer: Refused, Note: "isthmus knows one key, master_key: check tokens in your Envoy or mesh " +
			"(its jwt_authn or ext_authz filter), before the gateway"},
			`custom_auth custom_auth_run_common_checks enable_jwt_auth enable_oauth2_auth enable_oauth2_proxy_auth enforce_rbac
			litellm_jwtauth oauth2_config_mappings role_permissions validate_end_user_id_in_db`},
		{Entry{Answer: Refused, Note: "isthmus reads a client's key from authorization, api-key, x-api-key, " +
			"x-goog-api-key and x-litellm-api-key: send it in one of them"},
			`litellm_key_header_name`},
		{Entry{Answer: Refused, Note: "isthmus lets every address in: restrict them in your Envoy (its rbac filter) or network policy"},
			`allowed_ips`},
		{Entry{Answer: Refused, Note: "isthmus serves its endpoints to whoever has the key: restrict paths in your Envoy's routes"},
			`admin_only_routes allowed_routes public_routes`},
		{Entry{Answer: Refused, Note: "isthmus demands no members of a request: check it before the gateway"},
			`enforce_user_param enforced_params service_account_settings reject_clientside_metadata_tags`},
		{Entry{Answer: Refused, Note: "isthmus keeps no budgets: set rpm and tpm, tenant_limits or " +
			"model_group_limits, or a budget at the provider"},
			`max_budget budget_duration provider_budget_config tag_budget_config max_end_user_budget max_end_user_budget_id
			max_user_budget max_internal_user_budget default_max_internal_user_budget internal_user_budget_duration
			max_ui_session_budget fail_closed_budget_enforcement block_requests_for_models_without_pricing fallback_budget_check`},
		{Entry{Answer: Refused, Note: "isthmus's limits are rpm, tpm and max_parallel_requests of a " +
			"deployment, model_group_limits and tenant_limits"},
			`default_max_parallel_requests fail_closed_rate_limit_enforcement priority_reservation`},
		{Entry{Answer: Refused, Note: "isthmus has no guardrails: put them before the gateway"},
			`guardrails guardrail_list pre_call_rules post_call_rules banned_keywords_list blocked_user_list`},
		{Entry{Answer: Refused, Note: "a client may name any model that is served: give these clients a gateway of their own"},
			`enforce_fallback_model_access fallback_access_check`},
		{Entry{Answer: Refused, Note: "set safety_settings in the litellm_params of the deployments"}, `vertex_ai_safety_settings`},
		{Entry{Answer: Refused, Note: "isthmus bounds requests only: max_request_size_mb"},
			`max_response_size_mb max_file_size_mb allowed_file_extensions blocked_file_extensions`},
		{Entry{Answer: Refused, Note: "take prompts and answers out of the records with turn_off_message_logging"},
			`standard_logging_payload_excluded_fields`},
		{Entry{Answer: Refused, Note: "isthmus trusts the system's certificates for all providers: name a " +
			"file of your own in $SSL_CERT_FILE; ciphers are Envoy's"},
			`ssl_verify ssl_security_level ssl_ecdh_curve`},
	}
}

// ignoredOfTheProxy are those of LiteLLM's database, log-in, loggers and process.
func ignoredOfTheProxy() []Rule {
	return []Rule{
		{Entry{Answer: Ignored, Note: noDatabase}, `database_* store_model_in_db store_prompts_in_spend_logs disable_spend_*
			disable_prisma_schema_update allow_requests_on_db_unavailable proxy_batch_write_at proxy_batch_polling_interval
			proxy_budget_rescheduler_* maximum_* spend_* use_spend_logs_* use_redis_transaction_buffer supported_db_objects
			user_api_key_cache_* default_team_* default_internal_user_params default_key_* default_soft_budget
			upperbound_key_generate_params key_generation_settings key_alias_pattern enable_key_alias_format_validation
			custom_key_* custom_team_metadata_validate disable_custom_api_keys disable_key_generate_for_org_admin
			disable_auto_add_proxy_admin_to_teams disable_budget_reservation disable_reset_budget apply_user_budget_to_team_keys
			budget_exceeded_* budget_reset_time budget_rollover self_serve_budget_policy priority_reservation_settings
			personal_key_model_access_from_teams overwrite_user_with_key_hash team_metadata_* track_unmanaged_batch_cost
			store_audit_logs audit_log_callbacks scim_* enable_redis_auth_cache extra_spend_tag_headers scheduled_job_stagger`},
		{Entry{Answer: Ignored, Note: "isthmus has no admin UI and no log-in: its status page is on the admin port"},
			`ui_access_mode allow_user_auth auto_redirect_ui_login_to_sso custom_sso custom_ui_sso_sign_in_handler
			allow_cli_sso_verification_uri_complete password_policy_* failed_login_* max_failed_login_* disable_env_credential_login
			disable_password_login_when_sso_enabled hide_default_credentials_hint disable_master_key_return
			enable_public_model_hub public_* control_plane_url`},
		{Entry{Answer: Ignored, Note: "keys come from the file, the environment and .env"},
			`key_management_* use_azure_key_vault use_google_kms secret_manager_client common_cloud_provider_auth_params
			enable_azure_ad_token_refresh enable_model_config_credential_overrides`},
		{Entry{Answer: Ignored, Note: "alert on the metrics: docs/metrics.md"}, `alert* email`},
		{Entry{Answer: Ignored, Note: "isthmus judges deployments by the requests they answer"},
			`background_health_check* health_check_* enable_health_check_routing use_shared_health_check
			disable_model_info_refresh model_list_healthy_only`},
		{Entry{Answer: Ignored, Note: "metrics: docs/metrics.md; they stand on the admin port, not on the clients'"},
			`prometheus_* custom_prometheus_* require_auth_for_metrics_endpoint`},
		{Entry{Answer: Ignored, Note: "loggers and their settings: docs/callbacks.md"},
			`argilla_* aws_sqs_callback_params azure_content_safety_params callback_settings cold_storage_custom_logger datadog_*
			dynamodb_table_name gcs_pub_sub_use_v1 generic_api_use_v1 google_moderation_confidence_threshold
			guardrail_name_config_map initialized_langfuse_clients input_callback langfuse_default_tags
			langfuse_enable_update_trace_keys langsmith_batch_size llamaguard_* llm_guard_mode logged_real_time_event_types
			newrelic_params openai_moderations_model_name otel otel_tenant_destination_mode output_parse_pii pointfive_params
			presidio_* prompt_injection_params s3_audit_callback_params s3_callback_params service_callback
			skip_system_message_in_guardrail skip_tool_message_in_guardrail tracing zerobus_params
			allow_dynamic_callback_disabling global_disable_no_log_param`},
		{Entry{Answer: Ignored, Note: "isthmus's logs and errors hold no keys, prompts or answers"},
			`redact_* disable_requester_ip_address_logging log_auth_failure_key_identity log_client_error_tracebacks
			log_raw_request_response logging error_logs request_correlation_in_logs suppress_* debug_level
			include_call_id_in_error_body expose_router_debug_in_errors disable_streaming_logging`},
		{Entry{Answer: Ignored, Note: "isthmus reloads its file, and drains at SIGTERM"},
			`proxy_config_reload_interval_seconds enable_drain_endpoint drain_endpoint_token`},
		{Entry{Answer: Ignored, Note: "without master_key everybody is let in; check says so"},
			`dangerously_permit_weak_or_unset_master_key`},
		{Entry{Answer: Ignored, Note: noFeature},
			`adapters agent_* allow_public_health_readiness_details allow_unmanaged_response_ids assistants_config
			autorouter_presets_url blog_posts_url check_provider_endpoint claude_code_* config_path custom_provider_map
			disable_batch_* disable_bedrock_agent_runtime_passthrough disable_responses_id_security
			disable_vertex_batch_output_transformation enable_claude_code_gateway enable_loadbalancing_on_batch_endpoints
			enable_mcp_registry enable_openai_websocket_passthrough enable_preview_features litellm_mode max_batch_*
			max_file_downloads_* mcp_* model_list models_by_provider network_mock pass_through_endpoints
			passthrough_managed_object_ids require_*_mcp_access_defined require_managed_files responses
			responses_websocket_session_limit_seconds safe_memory_mode search_tool_deny_by_default search_tools
			skill_scanner skill_search_embedding_model skip_batch_* token_rate_limit_type transcribe_media_buckets use_client
			user_mcp_management_mode vector_store_* websearch_interception_params`},
	}
}

// ignoredOfRequests are those of routing, retries and what is done to a request.
func ignoredOfRequests() []Rule {
	return []Rule{
		{Entry{Answer: Ignored, Note: "Envoy carries the connections"},
			`aclient_session client_session aiohttp_trust_env disable_aiohttp_* use_aiohttp_transport force_ipv4 http2
			trusted_proxy_ranges use_x_forwarded_for cancel_on_disconnect admission_queue_timeout_seconds
			max_in_flight_requests_per_worker max_queued_requests_per_worker pass_through_request_timeout
			sse_keepalive_ping_interval_seconds anthropic_sse_ping_interval_seconds`},
		{Entry{Answer: Ignored, Note: "Redis and the cache are set by cache_params and redis_*"},
			`cache_kwargs cache_responses caching_groups default_in_memory_ttl default_redis_ttl default_redis_batch_cache_expiry
			coordination_redis force_redis_hash_tag_grouping enable_caching_on_provider_specific_optional_params client_ttl`},
		{Entry{Answer: Ignored, Note: "say it in litellm_params of each deployment"},
			`api_base api_key api_version organization project headers max_tokens token vertex_location
			vertex_project gdc_api_base predibase_tenant_id model_alias_map custom_prompt_dict model_group_settings
			ssl_certificate proxy_auth azure_llms request_tag_mappings ai21_key aleph_alpha_key amazon_nova_api_key anthropic_key
			azure_key baseten_key bytez_key clarifai_key cloudflare_api_key cohere_key cometapi_key
			databricks_key datarobot_key gdc_key gigachat_key gradient_ai_api_key
			groq_key heroku_key huggingface_key inception_key infinity_key lemonade_key llama_api_key maritalk_key nebius_key
			nlp_cloud_key novita_api_key ollama_key openai_key openai_like_key openrouter_key ovhcloud_key predibase_key
			replicate_key sap_service_key snowflake_key togetherai_api_key vercel_ai_gateway_key wandb_key xai_key`},
		{Entry{Answer: Ignored, Note: "set num_retries, retry_policy and fallbacks"},
			`max_retries num_retries_per_request model_fallbacks longer_context_model_fallback_dict
			disable_retry_on_max_parallel_request_limit_error disable_fallbacks_on_per_model_rate_limits
			fallback_on_unsupported_params enable_mid_stream_fallback_continuation retry enable_weighted_failover weights
			expose_fallback_errors_to_caller`},
		{Entry{Answer: Ignored, Note: "isthmus routes by its strategies, tags and order: docs/routing.md"},
			`optional_pre_call_checks routing_groups model_group_affinity_config deployment_affinity_ttl_seconds
			session_affinity_repin_on_failover default_priority polling_interval router_general_settings tag_routing_prefix
			auto_router_capability_limit ignore_invalid_deployments plugins user_header_name user_header_mappings
			use_team_public_model_name return_wildcard_routes`},
		{Entry{Answer: Ignored, Note: "clients' headers and addresses reach no provider, but for those that docs/endpoints.md names"},
			`forward_* add_user_information_to_llm_headers bedrock_request_metadata_fields filter_invalid_headers
			disable_add_user_agent_to_request_tags return_response_headers allow_client_side_credentials user_url_*
			provider_url_destination_allowed_hosts allowed_client_side_s3_*`},
		{Entry{Answer: Ignored, Note: "prices: input_cost_per_token and output_cost_per_token of a deployment"},
			`cost_* model_cost model_cost_map_url include_cost_in_streaming_usage disable_end_user_cost_tracking*
			enable_end_user_cost_tracking_prometheus_only apply_search_free_tier`},
		{Entry{Answer: Ignored, Note: "what isthmus does to a request is in docs/providers.md"},
			`modify_params add_function_to_prompt anthropic_beta_headers_url anthropic_messages_estimate_initial_input_tokens
			anthropic_prompt_caching_ttl always_include_stream_usage disable_add_prefix_to_prompt
			disable_add_transform_inline_image_block disable_anthropic_gemini_context_caching_transform
			disable_copilot_system_to_assistant disable_stop_sequence_limit disable_token_counter
			disable_hf_tokenizer_download enable_anthropic_prompt_caching enable_gemini_default_thinking_level_low
			gemini_* openai_system_messages_first reasoning_* route_all_chat_openai_to_responses strip_anthropic_total_tokens
			use_chat_completions_url_for_anthropic_messages bedrock_neutralize_orphaned_tool_blocks infer_model_from_keys
			completion_model enable_json_schema_validation vertex_ai_pass_through_drop_anthropic_betas missing_session_id
			use_litellm_proxy global_prompt_directory global_*_config prompt_name_config_map`},
	}
}
