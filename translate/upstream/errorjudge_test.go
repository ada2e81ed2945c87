package upstream_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// failureCase is an answer of a provider, and what it is.
type failureCase struct {
	status int
	body   string
	kind   upstream.Kind
	client int    // the status that the client gets; 0: the provider's
	code   string // the code that the client gets
}

func checkFailures(t *testing.T, tests map[string]failureCase) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.client == 0 {
				test.client = test.status
			}
			e := upstream.ReadError(upstream.Head{Status: test.status}, []byte(test.body))
			if e.Kind != test.kind || e.Status != test.client || e.Code != test.code {
				t.Errorf("%s %d %q, want %s %d %q", e.Kind, e.Status, e.Code, test.kind, test.client, test.code)
			}
			if e.Status != test.status && e.Type != upstream.TypeOf(e.Status) {
				t.Errorf("%d has the type %q, which was the provider's status's", e.Status, e.Type)
			}
		})
	}
}

func says(message string) string {
	text, _ := json.Marshal(message)
	return `{"error":{"message":` + string(text) + `}}`
}

func llamaCPP(message string) string {
	text, _ := json.Marshal(message)
	return `{"error":{"code":500,"message":` + string(text) + `,"type":"server_error"}}`
}

func TestAClientsOwnFaultIsOneWhateverTheStatus(t *testing.T) {
	const unsupported, request, context = upstream.KindUnsupported, upstream.KindRequest, upstream.KindContextWindow
	const mmproj = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
	checkFailures(t, map[string]failureCase{
		"Anthropic, a prompt longer than the account may send": {
			429, `{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."}}`, context, 400,
			upstream.CodeContextLength,
		},
		"Anthropic, a long context that the account does not have": {
			400, `{"type":"error","error":{"type":"invalid_request_error",` +
				`"message":"The long context beta is not yet available for this subscription."}}`, unsupported, 400, "",
		},
		"llama.cpp, an image without projector":  {500, llamaCPP(mmproj), unsupported, 400, ""},
		"llama.cpp, audio without projector":     {500, llamaCPP("audio input is not supported - hint: use mmproj"), unsupported, 400, ""},
		"llama.cpp, tools without its templates": {500, llamaCPP("tools param requires --jinja flag"), unsupported, 400, ""},
		"llama.cpp, turns that its template refuses": {500, llamaCPP("\n------------\nWhile executing CallExpression at line 189, column 32 in " +
			"source:\nError: Jinja Exception: After the optional system message, conversation roles must alternate"), unsupported, 400, ""},
		"llama.cpp, an embedding that is too long": {
			500, llamaCPP("input is too large to process. increase the physical batch size"), context, 400,
			upstream.CodeContextLength,
		},
		"llama.cpp, the same with its tokens": {500, llamaCPP("input (1418 tokens) is too large to process. increase the physical batch size " +
			"(current batch size: 512)"), context, 400, upstream.CodeContextLength},
		"llama.cpp, a member of the wrong type": {
			500, llamaCPP("[json.exception.type_error.302] type must be number, but is string"),
			request, 400, "",
		},
		"Ollama, a schema that it cannot compile": {500, `{"error":"invalid JSON schema in format"}`, unsupported, 400, ""},
		"Ollama, a grammar that it cannot": {500, `{"error":"Failed to create new sequence: unable to create sampling context\n"}`, unsupported,
			400, ""},
		"Ollama, an option of the wrong type": {500, `{"error":"option \"num_ctx\" must be of type integer"}`, request, 400, ""},
		"Ollama, an empty text to embed":      {500, `{"error":"Failed to create new sequence: no input provided\n"}`, request, 400, ""},
		"Ollama, an image that is none": {500, `{"error":"Failed to create new sequence: failed to process inputs: image: unknown format\n"}`,
			request, 400, ""},
		"Ollama, an image for a model without eyes": {
			500, `{"error":"this model is missing data required for image input"}`,
			unsupported, 400, "",
		},
		"Ollama, an embedding that is too long": {500, `{"error":"the input length exceeds the context length"}`, context, 400,
			upstream.CodeContextLength},
		"OpenAI, embeddings of a chat model": {403, `{"error":{"message":"You are not allowed to generate embeddings from this model",` +
			`"type":"invalid_request_error","param":null,"code":null}}`, unsupported, 0, ""},
		"OpenAI, a chat with a completion model": {404, says("This is not a chat model and thus not supported in the v1/chat/completions " +
			"endpoint. Did you mean to use v1/completions?"), unsupported, 0, ""},
		"OpenAI, a chat with a model of the Responses API": {404, says("This model is only supported in v1/responses and not in " +
			"v1/chat/completions."), unsupported, 0, ""},
		"OpenAI, more than a minute's quota": {429, `{"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min ` +
			`(TPM): Limit 30000, Requested 61337.","type":"tokens","code":"rate_limit_exceeded"}}`, unsupported, 0, "rate_limit_exceeded"},
		"Groq, more than a minute's quota": {413, `{"error":{"message":"Request too large for model ` + "`x`" + ` on tokens per minute (TPM): ` +
			`Limit 6000, Requested 9000","type":"tokens","code":"rate_limit_exceeded"}}`, unsupported, 0, "rate_limit_exceeded"},
		"OpenRouter, more than the account can pay": {402, says("This request requires more credits, or fewer max_tokens. You requested up to " +
			"64000 tokens, but can only afford 900."), unsupported, 0, ""},
		"Gemini, another account's file": {
			403, `{"error":{"code":403,"message":"You do not have permission to access the File abc or it may not ` +
				`exist.","status":"PERMISSION_DENIED"}}`, unsupported, 0, "403",
		},
		"Gemini, embeddings of a chat model": {404, says("models/gemini-2.5-flash is not found for API version v1beta, or is not supported for " +
			"embedContent."), unsupported, 0, ""},
		"vLLM, an endpoint that it does not have":   {404, `{"detail":"Not Found"}`, unsupported, 0, ""},
		"Ollama, an endpoint that it does not have": {404, "404 page not found", unsupported, 0, ""},
		"llama.cpp, embeddings without --embeddings": {501, `{"error":{"code":501,"message":"This server does not support embeddings. Start it ` +
			`with ` + "`--embeddings`" + `","type":"not_supported_error"}}`, unsupported, 0, "501"},
		"Azure, an operation that the model does not have": {
			400, `{"error":{"code":"OperationNotSupported","message":"The chatCompletion operation ` +
				`does not work with the specified model"}}`, unsupported, 0, "OperationNotSupported",
		},
	})
}

// What reads alike and is a server's own failure, or an account's.
func TestAWordOfTheClientIsNotHeldAgainstTheDeployment(t *testing.T) {
	quoted := func(sentence string) string {
		return says("Invalid value: '" + sentence + "'. Supported values are: 'low', 'medium', and 'high'.")
	}
	const request, unsupported = upstream.KindRequest, upstream.KindUnsupported
	tests := map[string]failureCase{
		"OpenAI, a conversation that is none": {404, says("Conversation with id 'conv_1' not found."), unsupported, 0, ""},
		"OpenAI, a prompt that is none":       {404, says("Prompt with id 'pmpt_1' not found."), unsupported, 0, ""},
		"OpenAI, an item that is none":        {404, says("Item with id 'rs_1' not found."), unsupported, 0, ""},
		"OpenAI, a file that is none":         {404, says("No such File object: file-1"), unsupported, 0, ""},
		"a model that is none":                {404, says("Model with id 'm' not found."), upstream.KindModelNotFound, 0, ""},
		"OpenAI, the client's MCP server": {424, `{"error":{"message":"Error retrieving tool list from MCP server: 'x'. Http status code: ` +
			`424 (Failed Dependency)","type":"external_connector_error","param":"tools","code":"http_error"}}`, unsupported, 0, "http_error"},
	}
	for _, sentence := range []string{
		"Your credit balance is too low", "You have reached your specified API usage limits",
		"You have reached your specified workspace API usage limits", "Access denied, please make sure your account is in good standing",
		"This organization has been disabled", "Incorrect API key provided", "API key not valid", "API key expired",
		"User location is not supported", "Gemini API free tier is not available in your country", "foo is not a valid model ID",
		"The provided model identifier is invalid",
	} {
		tests["a value that reads: "+sentence] = failureCase{400, quoted(sentence), request, 0, ""}
	}
	checkFailures(t, tests)
	const event = `{"type":"error","error":{"type":"external_connector_error","code":"http_error","message":"Error retrieving tool list"}}`
	if e := upstream.ReadEmbedded([]byte(event)); e.Kind != unsupported || e.Status != 424 {
		t.Errorf("in a stream, the client's MCP server is %s %d", e.Kind, e.Status)
	}
}

// Each is how a provider quotes, in a 400, what a client wrote.
func TestASentenceThatTheClientWroteDecidesNothing(t *testing.T) {
	python := strings.NewReplacer("'", `\'`)
	for _, sentence := range []string{
		"this model's maximum context length is 8192 tokens", "the prompt is too long", "it exceeds the context window", "input is too long",
		"our content policy", "the content management policy", "a safety system", "your input was flagged",
	} {
		text, _ := json.Marshal(sentence)
		inside := strings.Trim(string(text), `"`)
		tests := map[string]failureCase{
			"OpenAI":    {body: says("Invalid value: '" + sentence + "'. Supported values are: 'low', 'medium', and 'high'.")},
			"Azure":     {body: says("'" + sentence + "' is not one of ['system', 'assistant', 'user'] - 'messages.0.role'")},
			"Anthropic": {body: says("tool_choice: Input tag '" + sentence + "' found using 'type' does not match any of the expected tags")},
			"Google":    {body: says("Invalid value at 'contents[0].role' (TYPE_STRING), \"" + sentence + "\"")},
			"Google, a name": {body: says("Invalid JSON payload received. Unknown name \"" + sentence + "\" at 'generation_config': Cannot " +
				"find field.")},
			"vLLM, pydantic": {body: says("[{'type': 'literal_error', 'loc': ('body', 'messages', 0, 'role'), 'msg': \"Input should be 'user'\", " +
				"'input': '" + python.Replace(sentence) + "'}]")},
			"vLLM, the request": {body: says("1 validation error for ChatCompletionRequest\n  Value error [type=value_error, " +
				"input_value={'messages': [{'role': 'user', 'content': \"" + sentence + "\"}]}, input_type=dict]")},
			"FastAPI": {body: `{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required","input":{"prompt":"` + inside +
				`"}}]}`},
			"Mistral": {body: `{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs are not ` +
				`permitted","input":"` + inside + `"}]},"type":"invalid_request_error"}`},
			"llama.cpp": {body: says("Failed to parse messages: unsupported content[].type; messages = [\n  {\n    \"content\": \"" + sentence +
				"\"\n  }\n]")},
			"Ollama":             {body: `{"error":"invalid role: \"` + inside + `\""}`},
			"in backquotes":      {body: says("`" + sentence + "` is no level of reasoning")},
			"in curly quotes":    {body: says("“" + sentence + "” is no level of reasoning")},
			"cut off in between": {body: says("Unexpected value: '" + sentence)},
		}
		for name, test := range tests {
			test.status, test.kind = 400, upstream.KindRequest
			tests[name] = test
		}
		t.Run(sentence, func(t *testing.T) { checkKinds(t, tests) })
	}
}

// checkKinds is checkFailures for the kinds alone.
func checkKinds(t *testing.T, tests map[string]failureCase) {
	t.Helper()
	for name, test := range tests {
		e := upstream.ReadError(upstream.Head{Status: test.status}, []byte(test.body))
		if e.Kind != test.kind {
			t.Errorf("%s: %s, want %s: %s", name, e.Kind, test.kind, e.Message)
		}
	}
}

func TestAMessageThatAProxyQuotesDecides(t *testing.T) {
	const window = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens"
	python := `Error code: 400 - {'error': {'message': "` + window + `", 'type': 'invalid_request_error', 'code': None}}`
	tests := map[string]failureCase{
		"as Python writes it":             {body: says(python)},
		"as JSON":                         {body: says(`upstream said {"error":{"message":"` + window + `","type":"x"}}`)},
		"as JSON with its quotes escaped": {body: says(`{\"error\":{\"message\":\"` + window + `\"}}`)},
		"a text in quotes":                {body: `"` + window + `"`},
		"with a name in backquotes":       {body: says("input length and `max_tokens` exceed context limit: 1 + 2 > 2")},
		"after a quoted name":             {body: says(`model "m": ` + window)},
		"after an apostrophe":             {body: says(`The request's input is too long for the models' window`)},
	}
	for name, test := range tests {
		test.status, test.kind = 400, upstream.KindContextWindow
		tests[name] = test
	}
	checkKinds(t, tests)
}

func TestAServersFailureStaysOne(t *testing.T) {
	checkFailures(t, map[string]failureCase{
		"a failure without a word":       {500, "", upstream.KindServer, 0, ""},
		"a device that is out of memory": {500, llamaCPP("CUDA error: out of memory"), upstream.KindServer, 0, "500"},
		"a model that does not load": {
			500, `{"error":"failed to load model vocabulary required for format"}`,
			upstream.KindServer, 0, "",
		},
		"a runner that ended":            {500, `{"error":"llama runner process has terminated: exit status 2"}`, upstream.KindServer, 0, ""},
		"a sequence that found no place": {500, `{"error":"Failed to create new sequence: no slot"}`, upstream.KindServer, 0, ""},
		"an answer that is no UTF-8": {
			500, llamaCPP("[json.exception.type_error.316] invalid UTF-8 byte at index 3"),
			upstream.KindServer, 0, "500",
		},
		"an option inside of another text":  {500, `{"error":"panic: option \"x\" must be of type integer"}`, upstream.KindServer, 0, ""},
		"a schema of its own database":      {500, says("relation does not match schema"), upstream.KindServer, 0, ""},
		"input that its pipe does not take": {500, says("stdin: input is not supported"), upstream.KindServer, 0, ""},
		"OpenAI's": {
			500, says("The server had an error while processing your request. Sorry about that!"),
			upstream.KindServer, 0, "",
		},
		"one that calls itself a request's": {
			500, `{"error":{"message":"Internal","type":"invalid_request_error"}}`,
			upstream.KindServer, 0, "",
		},
		"a gateway that has no channel left": {
			503, `{"error":{"code":"model_not_found","message":"no channel"}}`,
			upstream.KindUnavailable, 0, "model_not_found",
		},
		"an overloaded one that says images": {503, says("image input is not supported while busy"), upstream.KindUnavailable, 0, ""},
		"a prompt that is quoted far behind": {500, says(strings.Repeat("trace ", 400) + "jinja exception:"), upstream.KindServer, 0, ""},
		"a rate limit that names a prompt":   {429, says("the prompt is too long for your rate limit"), upstream.KindRateLimit, 0, ""},
		"a key without permission": {
			403, says("Your API key does not have permission to use the specified resource"),
			upstream.KindPermission, 0, "",
		},
		"an account that broke the policy": {
			403, says("Your access was terminated due to a violation of our content policy"),
			upstream.KindPermission, 0, "",
		},
		"a model that is not there": {404, `{"error":{"message":"The model ` + "`x`" + ` does not exist","code":"model_not_found"}}`,
			upstream.KindModelNotFound, 0, "model_not_found"},
		"an address that is wrong":   {404, "<html>", upstream.KindModelNotFound, 0, ""},
		"a wrong word of the client": {400, says("Unsupported value: 'temperature'"), upstream.KindRequest, 0, ""},
		"a redirect":                 {302, "", upstream.KindServer, 502, ""},
		"no status":                  {999, "", upstream.KindServer, 502, ""},
		"a conflict":                 {409, says("busy"), upstream.KindConflict, 0, ""},
		"a dependency that failed":   {424, says("Inference failed"), upstream.KindServer, 0, ""},
		"a method that is not there": {405, "", upstream.KindUnsupported, 0, ""},
	})
}

func TestAnAccountsFailureIsOneWhateverTheStatus(t *testing.T) {
	const account = upstream.KindAccount
	anthropic := func(message string) string {
		return `{"type":"error","error":{"type":"invalid_request_error","message":"` + message + `"}}`
	}
	google := func(message, reason string) string {
		return `{"error":{"code":400,"message":"` + message + `","status":"FAILED_PRECONDITION","details":[{"@type":` +
			`"type.googleapis.com/google.rpc.ErrorInfo","reason":"` + reason + `"}]}}`
	}
	checkFailures(t, map[string]failureCase{
		"Anthropic, no credit": {400, anthropic("Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."),
			account, 402, ""},
		"Anthropic, a limit of its own": {400, anthropic("You have reached your specified API usage limits. You will regain access on " +
			"2026-01-01 at 00:00 UTC."), account, 402, ""},
		"Gemini, paid in advance and spent": {429, `{"error":{"code":429,"message":"Your prepayment credits are depleted. Please go to AI ` +
			`Studio","status":"RESOURCE_EXHAUSTED"}}`, account, 0, "429"},
		"Anthropic, disabled":    {400, anthropic("This organization has been disabled."), account, 403, ""},
		"Gemini, a key that ran": {400, google("API key expired. Please renew the API key.", "API_KEY_INVALID"), account, 401, ""},
		"Gemini, a wrong key":    {400, google("API key not valid. Please pass a valid API key.", "API_KEY_INVALID"), account, 401, ""},
		"Gemini, a place": {400, google("User location is not supported for the API use.", ""), upstream.KindPermission, 403,
			""},
		"Gemini, an API that is off": {403, google("Generative Language API has not been used", "SERVICE_DISABLED"), upstream.KindPermission,
			0, "400"},
		"Gemini, suspended": {403, google("Permission denied: Consumer has been suspended.", "CONSUMER_SUSPENDED"), account, 0, "400"},
		"xAI, a wrong key": {400, `{"code":"Client specified an invalid argument","error":"Incorrect API key provided: sk***YA."}`,
			account, 401, ""},
		"OpenAI, no quota": {429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota",` +
			`"code":"insufficient_quota"}}`, account, 0, "insufficient_quota"},
		"OpenAI, a hard limit": {400, `{"error":{"message":"Billing hard limit has been reached","code":"billing_hard_limit_reached"}}`,
			account, 402, "billing_hard_limit_reached"},
		"OpenAI, a country": {403, `{"error":{"message":"Country not supported","code":"unsupported_country_region_territory"}}`,
			upstream.KindPermission, 0, "unsupported_country_region_territory"},
		"Alibaba, in arrears": {
			400, `{"error":{"message":"Access denied, please make sure your account is in good standing.","code":"Arrearage"}}`,
			account, 402, "Arrearage",
		},
		"New API, no quota": {403, `{"error":{"message":"user quota is not enough","type":"new_api_error","code":"insufficient_user_quota"}}`,
			account, 402, "insufficient_user_quota"},
		"DeepSeek, no money": {402, says("Insufficient Balance"), account, 0, ""},
		"a wrong key":        {401, says("Incorrect API key provided"), account, 0, ""},
		"Mistral, a wrong model": {400, `{"object":"error","message":"Invalid model: foo","type":"invalid_model","code":"1500"}`,
			upstream.KindModelNotFound, 404, ""},
		"OpenRouter, a wrong model": {400, `{"error":{"message":"foo is not a valid model ID","code":400}}`, upstream.KindModelNotFound, 404, ""},
		"Gemini, a quota that comes back": {429, `{"error":{"code":429,"message":"You exceeded your current quota. Please retry in 38s.",` +
			`"status":"RESOURCE_EXHAUSTED"}}`, upstream.KindRateLimit, 0, "429"},
	})
}

func TestARefusedPromptIsAContentFilterWhateverTheStatus(t *testing.T) {
	const policy, code = upstream.KindContentPolicy, upstream.CodeContentFilter
	checkFailures(t, map[string]failureCase{
		"OpenRouter": {403, `{"error":{"message":"Your chosen model requires moderation and your input was flagged","code":403,"metadata":` +
			`{"reasons":["violence"],"flagged_input":"x","provider_name":"OpenAI"}}}`, policy, 400, code},
		"OpenRouter, by its members alone": {403, `{"error":{"message":"no","code":403,"metadata":{"reasons":["a"],"flagged_input":"x"}}}`,
			policy, 400, code},
		"xAI": {403, `{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage ` +
			`guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}`, policy, 400, code},
		"Alibaba": {400, `{"error":{"message":"<400> InternalError.Algo.DataInspectionFailed: Input data may contain inappropriate content.",` +
			`"type":"data_inspection_failed","code":"data_inspection_failed"}}`, policy, 0, code},
		"OpenAI, flagged": {400, `{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.",` +
			`"type":"invalid_request_error","code":"invalid_prompt"}}`, policy, 0, code},
		"OpenAI, an image": {400, `{"error":{"message":"rejected","code":"moderation_blocked"}}`, policy, 0, code},
		"Azure, by its inner": {
			400, `{"error":{"message":"no","code":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`,
			policy, 0, code,
		},
		"DeepSeek":   {400, says("Content Exists Risk"), policy, 0, code},
		"Moonshot":   {400, says("The request was rejected because it was considered high risk"), policy, 0, code},
		"StepFun":    {451, says("censored"), policy, 400, code},
		"Volcengine": {400, `{"error":{"message":"no","code":"InputTextSensitiveContentDetected.Violence"}}`, policy, 0, code},
		"Anthropic":  {400, says("Output blocked by content filtering policy"), policy, 0, code},
	})
}

func TestAPromptThatIsTooLongIsOneInAllWords(t *testing.T) {
	const window, code = upstream.KindContextWindow, upstream.CodeContextLength
	checkFailures(t, map[string]failureCase{
		"vLLM": {400, says("You passed 67073 input tokens and requested 64000 output tokens. However, the model's context length is only " +
			"131072 tokens"), window, 0, code},
		"vLLM, an engine": {400, says("The decoder prompt (length 9) is longer than the maximum model length of 8."), window, 0, code},
		"xAI": {400, `{"code":"invalid-argument","error":"This model's maximum prompt length is 131072 but the request contains 200000 tokens."}`,
			window, 0, code},
		"Alibaba": {400, says("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]"), window, 0, code},
		"LM Studio": {
			400, `{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context ` +
				`length of only 4096 tokens, which is not enough."}`, window, 0, code,
		},
		"OpenRouter's provider": {400, `{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"type\":\"error\",` +
			`\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}}"}}}`,
			window, 0, code},
		"GitHub": {413, `{"error":{"code":"tokens_limit_reached","message":"Request body too large for gpt-4.1 model. Max size: 8000 tokens."}}`,
			window, 0, code},
		"MiniMax":   {400, says("invalid params, context window exceeds limit (2013)"), window, 0, code},
		"Moonshot":  {400, says("Invalid request: Your request exceeded model token limit: 8192"), window, 0, code},
		"llama.cpp": {400, `{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}`, window, 0, code},
		"TGI":       {422, says("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9000"), window, 0, code},
		"a 500 with OpenAI's code": {500, `{"error":{"message":"no","code":"context_length_exceeded"}}`, window, 400,
			code},
		"LiteLLM": {400, says("litellm.ContextWindowExceededError: no"), window, 0, code},
		"too many bytes is not": {
			413, `{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}`,
			upstream.KindRequest, 0, "",
		},
	})
}

func TestTheMessageBehindAnAggregatorIsTheOneThatHelps(t *testing.T) {
	e := upstream.ReadError(upstream.Head{Status: 400}, []byte(`{"error":{"message":"Provider returned error","code":400,"metadata":`+
		`{"raw":"{\"error\":{\"message\":\"tools.0: no name\"}}"}}}`))
	if e.Message != "tools.0: no name" {
		t.Errorf("message %q", e.Message)
	}
}

func TestAnErrorInsideAnAnswerHasTheStatusItNames(t *testing.T) {
	for body, want := range map[string]struct {
		status int
		kind   upstream.Kind
	}{
		`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`:                     {529, upstream.KindUnavailable},
		`{"type":"error","error":{"type":"invalid_request_error","message":"no"}}`:                        {400, upstream.KindRequest},
		`{"error":{"code":429,"message":"slow down"}}`:                                                    {429, upstream.KindRateLimit},
		`{"error":{"code":"rate_limit_exceeded","message":"slow down"}}`:                                  {429, upstream.KindRateLimit},
		`{"error":{"code":403,"message":"no","metadata":{"flagged_input":"x"}}}`:                          {400, upstream.KindContentPolicy},
		`{"error":{"message":"prompt is too long: 9 > 8","type":"BadRequestError","code":400}}`:           {400, upstream.KindContextWindow},
		`{"error":{"code":"invalid_prompt","message":"no"}}`:                                              {400, upstream.KindRequest},
		`{"error":{"code":"image_parse_error","message":"no"}}`:                                           {400, upstream.KindRequest},
		`{"error":{"code":"insufficient_quota","message":"no"}}`:                                          {429, upstream.KindAccount},
		`{"error":{"code":500,"message":"image input is not supported - hint: x","type":"server_error"}}`: {400, upstream.KindUnsupported},
		`{"error":{"code":"server_error","message":"no"}}`:                                                {502, upstream.KindUnavailable},
		`{"error":"gone"}`: {502, upstream.KindUnavailable},
		`gone`:             {502, upstream.KindUnavailable},
		``:                 {502, upstream.KindUnavailable},
	} {
		if e := upstream.ReadEmbedded([]byte(body)); e.Status != want.status || e.Kind != want.kind || e.Message == "" {
			t.Errorf("%s: %d %s %q, want %d %s", body, e.Status, e.Kind, e.Message, want.status, want.kind)
		}
	}
}

// FuzzReadError: whatever a provider answers, its error can be told to a client: an
// error status, a kind, members that are bounded and valid UTF-8.
func FuzzReadError(f *testing.F) {
	f.Add(400, says("prompt is too long"))
	f.Add(500, llamaCPP("image input is not supported"))
	f.Add(403, `{"error":{"metadata":{"raw":"{\"error\":{\"message\":\"x\"}}","flagged_input":"x"}}}`)
	f.Add(429, `[{"error":{"details":[{"reason":"API_KEY_INVALID","retryDelay":"3s"}],"innererror":{"code":1}}}]`)
	f.Add(302, `{"code":"x","error":"y","detail":{}}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		whole := upstream.ReadError(upstream.Head{Status: status}, []byte(body))
		for _, e := range []*upstream.Error{whole, upstream.ReadEmbedded([]byte(body))} {
			if e.Status < 400 || e.Status > 599 {
				t.Errorf("status %d", e.Status)
			}
			if e.Kind == upstream.KindUnknown || upstream.KindOf(e) != e.Kind {
				t.Errorf("kind %s", e.Kind)
			}
			if e.Message == "" || e.Type == "" {
				t.Errorf("message %q, type %q", e.Message, e.Type)
			}
			for _, text := range []string{e.Message, e.Type, e.Code, e.Param} {
				if !utf8.ValidString(text) || len(text) > 17<<10 {
					t.Errorf("a member is not valid UTF-8 or has %d bytes", len(text))
				}
			}
			if (e.Kind == upstream.KindContextWindow) != (e.Code == upstream.CodeContextLength) {
				t.Errorf("kind %s with code %q", e.Kind, e.Code)
			}
		}
	})
}

func BenchmarkReadError(b *testing.B) {
	body := []byte(llamaCPP("CUDA error: " + strings.Repeat("out of memory ", 100)))
	b.ReportAllocs()
	for b.Loop() {
		upstream.ReadError(upstream.Head{Status: 500}, body)
	}
}
