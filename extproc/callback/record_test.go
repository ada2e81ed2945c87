package callback

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const fullJSON = `{
	"id": "chatcmpl-1",
	"litellm_call_id": "CALL1",
	"trace_id": "trace-1",
	"session_id": "session-1",
	"call_type": "acompletion",
	"stream": true,
	"status": "success",
	"http_status": 200,
	"aborted": null,
	"cache_hit": false,
	"cache_key": "key-1",
	"custom_llm_provider": "openai",
	"model": "openai/gpt-4o",
	"model_group": "my-model",
	"model_id": "dep-2",
	"api_base": "https://api.openai.com",
	"startTime": 1795514400.0,
	"endTime": 1795514401.5,
	"completionStartTime": 1795514400.25,
	"response_time": 0.25,
	"response_cost": 0.0004,
	"cost_breakdown": {
		"input_cost": 0.0002,
		"output_cost": 0.0002,
		"total_cost": 0.0004
	},
	"saved_cache_cost": 0,
	"prompt_tokens": 100,
	"completion_tokens": 20,
	"total_tokens": 120,
	"tokens_estimated": false,
	"request_tags": [
		"team:search",
		"beta"
	],
	"end_user": "ana",
	"requester_ip_address": "10.1.2.3",
	"user_agent": "OpenAI/Python 3.54",
	"messages": [
		{
			"role": "user",
			"content": "Olá"
		}
	],
	"response": {
		"id": "chatcmpl-1",
		"choices": [
			{
				"message": {
					"role": "assistant",
					"content": "Oi"
				},
				"finish_reason": "stop"
			}
		]
	},
	"model_parameters": {
		"temperature": 0.5,
		"stream": true
	},
	"error_str": null,
	"error_information": null,
	"hidden_params": {
		"model_id": "dep-2",
		"cache_key": null,
		"api_base": "https://api.openai.com",
		"response_cost": 0.0004,
		"litellm_overhead_time_ms": 1.25,
		"litellm_model_name": "gpt-4o",
		"response_model": "gpt-4o-2024-08-06",
		"finish_reason": "stop",
		"usage_object": {
			"prompt_tokens": 100,
			"completion_tokens": 20,
			"total_tokens": 120,
			"prompt_tokens_details": {
				"cached_tokens": 40,
				"cache_creation_tokens": 0
			},
			"completion_tokens_details": {
				"reasoning_tokens": 5
			}
		}
	},
	"metadata": {
		"user_api_key_hash": null,
		"user_api_key_alias": "prod",
		"user_api_key_request_route": "/v1/chat/completions",
		"requester_metadata": {
			"trace_name": "chat"
		},
		"requester_ip_address": null,
		"user_agent": null,
		"usage_object": {
			"prompt_tokens": 100,
			"completion_tokens": 20,
			"total_tokens": 120,
			"prompt_tokens_details": {
				"cached_tokens": 40,
				"cache_creation_tokens": 0
			},
			"completion_tokens_details": {
				"reasoning_tokens": 5
			}
		},
		"attempted_model_groups": []
	},
	"attempts": [
		{
			"model_group": "my-model",
			"deployment": "dep-1",
			"provider": "openai",
			"status": 429,
			"ms": 40.0,
			"reason": "429"
		},
		{
			"model_group": "my-model",
			"deployment": "dep-2",
			"provider": "openai",
			"status": 200,
			"ms": 1460.0,
			"reason": ""
		}
	]
}`

func TestRecordHasTheNamesOfLiteLLM(t *testing.T) {
	got, err := json.Marshal(fullRecord(), jsontext.WithIndent("\t"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullJSON, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRecordSurvivesTheSpillFile(t *testing.T) {
	want := fullRecord()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := new(Record)
	if err := json.Unmarshal(text, got); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	if !got.StartTime.Equal(want.StartTime.Time) || got.ResponseTime != want.ResponseTime || got.Attempts[0].Took != want.Attempts[0].Took {
		t.Errorf("times changed: %v, %v, %v", got.StartTime, got.ResponseTime, got.Attempts[0].Took)
	}
}

func TestZeroRecordIsValidJSON(t *testing.T) {
	text, err := json.Marshal(&Record{})
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"messages", "response", "end_user", "startTime", "cache_key", "error_information"} {
		if string(members[name]) != "null" {
			t.Errorf("%s is %s, want null", name, members[name])
		}
	}
}

func TestACacheHitCostsNothing(t *testing.T) {
	r := &Record{CacheHit: true}
	r.SetUsage(chat.Usage{Prompt: 10, Completion: 10, Total: 20}, Prices{Input: 0.5, Output: 1})
	if r.ResponseCost != 0 || r.CostBreakdown != nil || r.SavedCacheCost != 15 {
		t.Errorf("cost %v, breakdown %v, saved %v", r.ResponseCost, r.CostBreakdown, r.SavedCacheCost)
	}
}

func TestErrorClassesAreLiteLLMs(t *testing.T) {
	for _, c := range []struct {
		err  upstream.Error
		want string
	}{
		{upstream.Error{Status: 400}, "BadRequestError"},
		{upstream.Error{Status: 400, Code: upstream.CodeContextLength}, "ContextWindowExceededError"},
		{upstream.Error{Status: 400, Code: upstream.CodeContentFilter}, "ContentPolicyViolationError"},
		{upstream.Error{Status: 401}, "AuthenticationError"},
		{upstream.Error{Status: 404}, "NotFoundError"},
		{upstream.Error{Status: 429}, "RateLimitError"},
		{upstream.Error{Status: 500}, "InternalServerError"},
		{upstream.Error{Status: 503}, "ServiceUnavailableError"},
		{upstream.Error{Status: 504}, "Timeout"},
		{upstream.Error{}, "APIConnectionError"},
	} {
		r := &Record{}
		r.SetError(&c.err, "openai")
		if got := r.ErrorInformation.Class; got != c.want {
			t.Errorf("%+v is %s, want %s", c.err, got, c.want)
		}
	}
}

func TestReadInputSplitsTheBody(t *testing.T) {
	body := `{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.10,"user":"ana","tools":[],"top_p":null,
		"num_retries":2,"litellm_session_id":"s1","metadata":{"trace_id":7,"session_id":"other","x":1},"turn_off_message_logging":true}`
	req, err := chat.Parse(chat.Completions, []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	want := Input{
		Messages: jsontext.Value(`[{"role":"user","content":"hi"}]`), Parameters: jsontext.Value(`{"temperature":0.10,"user":"ana","tools":[]}`),
		Metadata: jsontext.Value(`{"trace_id":7,"session_id":"other","x":1}`), User: "ana", TraceID: "7", SessionID: "s1", Wish: Hide,
	}
	if diff := cmp.Diff(want, ReadInput(req), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOriginShowsNoSecret(t *testing.T) {
	for in, want := range map[string]string{
		"https://user:secret@host.example:8443/v1/key-123?api-version=1#x": "https://host.example:8443",
		"http://localhost:11434": "http://localhost:11434",
		"not a url\x00":          "",
		"":                       "",
	} {
		if got := Origin(in); got != want {
			t.Errorf("Origin(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTextThatIsNoUTF8CostsNobodyARecord(t *testing.T) {
	r := fullRecord()
	r.UserAgent, r.RequestTags = "a\xffb", []string{"\xc3"}
	r.Metadata.KeyAlias = "\xfe"
	r.Response = jsontext.Value("{\"half")
	Policy{}.Apply(r, Inherit)
	text, err := Encode(r)
	if err != nil || !jsontext.Value(text).IsValid() {
		t.Errorf("%v: %s", err, text)
	}
}

func TestAClientThatAsksNotToBeLoggedIsRedacted(t *testing.T) {
	for member, want := range map[string]Wish{
		`"no-log": true`: Hide, `"no_log": true`: Hide, `"turn_off_message_logging": true`: Hide,
		`"no-log": false`: Inherit, `"no-log": "true"`: Inherit,
	} {
		req, err := chat.Parse(chat.Completions, []byte(`{"model": "m", "messages": [], `+member+`}`), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := ReadInput(req).Wish; got != want {
			t.Errorf("%s is the wish %v, want %v", member, got, want)
		}
	}
}
