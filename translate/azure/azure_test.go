package azure_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/azure"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const base = "https://res.openai.azure.com"

func TestNewSaysWhatADeploymentLacks(t *testing.T) {
	for _, base := range []string{"", "res.openai.azure.com"} {
		if _, err := azure.New(&upstream.Target{Model: "m", BaseURL: base}); err == nil {
			t.Errorf("api_base %q: no error", base)
		}
	}
}

func TestPaths(t *testing.T) {
	for name, tc := range map[string]struct {
		target   upstream.Target
		endpoint chat.Endpoint
		want     string
	}{
		"the default version": {
			upstream.Target{}, chat.Completions, "/openai/deployments/prod-chat/chat/completions?api-version=2024-10-21",
		},
		"a configured version": {
			upstream.Target{APIVersion: "2025-04-01-preview"}, chat.Embeddings,
			"/openai/deployments/prod-chat/embeddings?api-version=2025-04-01-preview",
		},
		"legacy completions": {
			upstream.Target{APIVersion: "v"}, chat.TextCompletions, "/openai/deployments/prod-chat/completions?api-version=v",
		},
		"a deployment's name is one path step": {
			upstream.Target{Model: "a/b c", APIVersion: "v"}, chat.Completions, "/openai/deployments/a%2Fb%20c/chat/completions?api-version=v",
		},
		"a base with a slash": {
			upstream.Target{BaseURL: base + "/", APIVersion: "v"}, chat.Completions, "/openai/deployments/prod-chat/chat/completions?api-version=v",
		},
		"a base that ends in openai": {
			upstream.Target{BaseURL: base + "/openai", APIVersion: "v"}, chat.Completions,
			"/openai/deployments/prod-chat/chat/completions?api-version=v",
		},
		"a base behind a gateway": {
			upstream.Target{BaseURL: "http://apim/team", APIVersion: "v"}, chat.Completions,
			"/team/openai/deployments/prod-chat/chat/completions?api-version=v",
		},
		"the v1 surface by its base": {
			upstream.Target{BaseURL: base + "/openai/v1"}, chat.Completions, "/openai/v1/chat/completions",
		},
		"the v1 surface by its version": {upstream.Target{APIVersion: "v1"}, chat.Completions, "/openai/v1/chat/completions"},
		"the v1 surface by both": {
			upstream.Target{BaseURL: base + "/openai/v1/", APIVersion: "preview"}, chat.Completions, "/openai/v1/chat/completions",
		},
		"a version is escaped like any query": {
			upstream.Target{APIVersion: "a&b=c"}, chat.Completions, "/openai/deployments/prod-chat/chat/completions?api-version=a%26b%3Dc",
		},
		"a dated version on the v1 surface": {
			upstream.Target{BaseURL: base + "/openai/v1", APIVersion: "2024-10-21"}, chat.Completions, "/openai/v1/chat/completions",
		},
		"the other hosts of Azure are no others": {
			upstream.Target{BaseURL: "https://r.services.ai.azure.com", APIVersion: "v"}, chat.Completions,
			"/openai/deployments/prod-chat/chat/completions?api-version=v",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := suite.Call(t, tc.target, tc.endpoint, `{"messages":[],"input":"a","prompt":"a"}`).Path; got != tc.want {
				t.Errorf("path %s, want %s", got, tc.want)
			}
		})
	}
}

func TestTheKeyOrTheTokenIsSentNeverBoth(t *testing.T) {
	for name, tc := range map[string]struct {
		target upstream.Target
		want   upstream.Header
	}{
		"a key":   {upstream.Target{APIKey: secret.New("k")}, upstream.Header{{Name: "api-key", Value: "k"}}},
		"a token": {upstream.Target{AzureADToken: secret.New("t")}, upstream.Header{{Name: "authorization", Value: "Bearer t"}}},
		"the token wins": {
			upstream.Target{APIKey: secret.New("k"), AzureADToken: secret.New("t")}, upstream.Header{{Name: "authorization", Value: "Bearer t"}},
		},
		"neither": {upstream.Target{}, nil},
		"configured header": {
			upstream.Target{Headers: []upstream.ExtraHeader{{Name: "X-Team", Value: secret.New("red")}}},
			upstream.Header{{Name: "x-team", Value: "red"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := append(upstream.Header{{Name: "content-type", Value: "application/json"}}, tc.want...)
			want.Set("accept", "application/json")
			if diff := cmp.Diff(want, suite.Call(t, tc.target, chat.Completions, `{"messages":[]}`).Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	for name, tc := range map[string]struct {
		target     upstream.Target
		body, want string
	}{
		"the model is the deployment's": {
			upstream.Target{}, `{"model":"alias","messages":[],"data_sources":[{}]}`, `{"model":"prod-chat","messages":[],"data_sources":[{}]}`,
		},
		"a deployment's name says which model it is, or base_model does": {
			upstream.Target{BaseModel: "o3-mini"}, `{"model":"alias","messages":[],"max_tokens":5}`,
			`{"model":"prod-chat","messages":[],"max_completion_tokens":5}`},
		"LiteLLM's prefix says what the deployment is": {
			upstream.Target{Model: "o_series/prod-chat"}, `{"model":"alias","messages":[],"max_tokens":5}`,
			`{"model":"prod-chat","messages":[],"max_completion_tokens":5}`},
		"and base_model says it better": {
			upstream.Target{Model: "gpt5_series/prod-chat", BaseModel: "gpt-5.1"}, `{"model":"alias","messages":[],"top_p":0.5}`,
			`{"model":"prod-chat","messages":[],"top_p":0.5}`},
		"cache_control is Anthropic's": {
			upstream.Target{}, `{"model":"alias","messages":[{"role":"developer","content":"a","cache_control":{}}]}`,
			`{"model":"prod-chat","messages":[{"role":"developer","content":"a"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(suite.Call(t, tc.target, chat.Completions, tc.body).Body); got != tc.want {
				t.Errorf("body %s, want %s", got, tc.want)
			}
		})
	}
}

func TestFailuresOfBothShapes(t *testing.T) {
	for name, tc := range map[string]struct {
		head upstream.Head
		body string
		want upstream.Error
	}{
		"a code without a type": {
			upstream.Head{Status: 404}, `{"error":{"code":"DeploymentNotFound","message":"no such deployment","type":null}}`,
			upstream.Error{
				Status: 404, Kind: upstream.KindModelNotFound,
				Type: "not_found_error", Code: "DeploymentNotFound", Message: "no such deployment",
			},
		},
		"a filtered prompt": {
			upstream.Head{Status: 400},
			`{"error":{"code":"content_filter","param":"prompt","message":"filtered","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`,
			upstream.Error{
				Status: 400, Kind: upstream.KindContentPolicy,
				Type: "invalid_request_error", Code: "content_filter", Param: "prompt", Message: "filtered",
			},
		},
		"API Management": {
			upstream.Head{Status: 429, Header: upstream.Header{{Name: "retry-after", Value: "7"}, {Name: "retry-after-ms", Value: "6500"}}},
			`{"statusCode":429,"message":"Rate limit is exceeded."}`,
			upstream.Error{
				Status:     429,
				Kind:       upstream.KindRateLimit,
				Type:       "rate_limit_error",
				Message:    "Rate limit is exceeded.",
				RetryAfter: 6500 * time.Millisecond,
				Header:     upstream.Header{{Name: "retry-after", Value: "7"}, {Name: "retry-after-ms", Value: "6500"}},
			},
		},
		"nothing said": {
			upstream.Head{Status: 408}, ``,
			upstream.Error{Status: 408, Kind: upstream.KindTimeout, Type: "timeout_error", Message: "the provider answered 408 Request Timeout"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(&tc.want, suite.Bind(t, upstream.Target{}).Failure(tc.head, []byte(tc.body))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswersAreRelayed(t *testing.T) {
	const filter = `data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}` + "\n\n"
	const rest = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"a"},` +
		`"finish_reason":"stop","content_filter_results":{}}],"id":"c1","model":"gpt-4o"}` + "\n\ndata: [DONE]\n\n"
	req, err := chat.Parse(chat.Completions, []byte(`{"messages":[],"stream":true}`), "alias")
	if err != nil {
		t.Fatal(err)
	}
	d := suite.Bind(t, upstream.Target{}).Decoder(req,
		upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: "text/event-stream"}}})
	if got := string(d.Feed([]byte(filter+rest), true)); got != rest {
		t.Errorf("stream %q, want %q", got, rest)
	}
	if got := d.Result(); got.ID != "c1" || got.Model != "gpt-4o" || got.FinishReason != "stop" {
		t.Errorf("result %+v", got)
	}
}

// FuzzFailure: whatever an error answer holds, the client gets an OpenAI error.
func FuzzFailure(f *testing.F) {
	f.Add(`{"error":{"code":429,"message":null}}`, 429)
	f.Add(`[{"error":"x"}]`, 500)
	f.Add("<html>\xff", 502)
	tr := suite.Bind(f, upstream.Target{})
	f.Fuzz(func(t *testing.T, body string, status int) {
		e := tr.Failure(upstream.Head{Status: status}, []byte(body))
		if e.Message == "" || e.Type == "" || e.Status != status {
			t.Errorf("%+v", e)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	req, err := chat.Parse(chat.Completions, []byte(`{"messages":[{"role":"user","content":"Say hello."}],"temperature":0.2,"stream":true}`),
		"alias")
	if err != nil {
		b.Fatal(err)
	}
	tr := suite.Bind(b, upstream.Target{APIKey: secret.New("k")})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Request(req); err != nil {
			b.Fatal(err)
		}
	}
}
