package openai_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestNewRefusesADeploymentWithoutHost(t *testing.T) {
	if _, err := openai.New(&upstream.Target{BaseURL: "nowhere", Model: "m"}); err == nil {
		t.Error("no error")
	}
}

func TestEndpointsAndHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		target   upstream.Target
		endpoint chat.Endpoint
		body     string
		path     string
		header   upstream.Header
	}{
		"a blocking chat": {
			upstream.Target{APIKey: secret.New("k")}, chat.Completions, `{"model":"m","messages":[]}`, "/v1/chat/completions",
			upstream.Header{
				{Name: "content-type", Value: "application/json"}, {Name: "authorization", Value: "Bearer k"},
				{Name: "accept", Value: "application/json"},
			},
		},
		"a stream, with an organization": {
			upstream.Target{APIKey: secret.New("k"), Organization: "org"}, chat.Completions, `{"model":"m","messages":[],"stream":true}`,
			"/v1/chat/completions",
			upstream.Header{
				{Name: "content-type", Value: "application/json"}, {Name: "authorization", Value: "Bearer k"},
				{Name: "openai-organization", Value: "org"}, {Name: "accept", Value: "text/event-stream"},
			},
		},
		"no key, and a base with a slash at its end": {
			upstream.Target{BaseURL: "http://host:8000/api/v1/"}, chat.Embeddings, `{"model":"m","input":"a"}`, "/api/v1/embeddings",
			upstream.Header{{Name: "content-type", Value: "application/json"}, {Name: "accept", Value: "application/json"}},
		},
		"configured headers come last": {
			upstream.Target{
				APIKey:  secret.New("k"),
				Headers: []upstream.ExtraHeader{{Name: "X-Team", Value: secret.New("red")}, {Name: "Authorization", Value: secret.New("own")}},
			},
			chat.TextCompletions, `{"model":"m","prompt":"a"}`, "/v1/completions",
			upstream.Header{
				{Name: "content-type", Value: "application/json"}, {Name: "authorization", Value: "own"}, {Name: "x-team", Value: "red"},
				{Name: "accept", Value: "application/json"},
			},
		},
		"speech": {
			upstream.Target{}, chat.Speech, `{"model":"m","input":"a"}`, "/v1/audio/speech",
			upstream.Header{{Name: "content-type", Value: "application/json"}, {Name: "accept", Value: "*/*"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := suite.Call(t, tc.target, tc.endpoint, tc.body)
			if got.Method != "POST" || got.Path != tc.path {
				t.Errorf("%s %s, want POST %s", got.Method, got.Path, tc.path)
			}
			if diff := cmp.Diff(tc.header, got.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailureKeepsTheServersWords(t *testing.T) {
	head := upstream.Head{
		Status: 400,
		Header: upstream.Header{{Name: "retry-after", Value: "3"}, {Name: "openai-organization", Value: "secret"}},
	}
	got := suite.Bind(t, upstream.Target{}).Failure(head, []byte(`{"error":{"message":"This model's maximum context length is 8192 `+
		`tokens.","type":"invalid_request_error","param":"messages","code":null}}`))
	want := &upstream.Error{
		Status: 400,
		Kind:   upstream.KindContextWindow, Type: "invalid_request_error", Param: "messages", Code: "context_length_exceeded",
		Message: "This model's maximum context length is 8192 tokens.", Header: upstream.Header{{Name: "retry-after", Value: "3"}},
		RetryAfter: 3 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}
