package anthropic_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/anthropic"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const (
	base = "https://api.anthropic.com"
	hi   = `"messages":[{"role":"user","content":"hi"}]`
)

func call(t testing.TB, target upstream.Target, request string) *upstream.Call {
	t.Helper()
	return suite.Call(t, target, chat.Completions, request)
}

// members returns members of a body as a canonical object.
func members(t testing.TB, body []byte, names ...string) string {
	t.Helper()
	var picked []byte
	for _, m := range parseObject(t, body) {
		for _, name := range names {
			if m.Name != name {
				continue
			}
			if picked != nil {
				picked = append(picked, ',')
			}
			picked = append(append(picked, `"`+name+`":`...), m.Value...)
		}
	}
	return translatetest.Canonical(t, append(append([]byte{'{'}, picked...), '}'))
}

func TestNewWorksOutTheCall(t *testing.T) {
	tests := map[string]struct{ base, path string }{
		"Anthropic's host":              {base, "/v1/messages"},
		"a host with a prefix":          {"http://proxy:1/claude", "/claude/v1/messages"},
		"a base with the version":       {"http://proxy:1/v1", "/v1/messages"},
		"a base that is the whole path": {"http://proxy:1/x/v1/messages", "/x/v1/messages"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, upstream.Target{BaseURL: test.base, APIKey: secret.New("sk-ant-1")}, `{`+hi+`,"max_tokens":9}`)
			want := &upstream.Call{
				Method: "POST", Path: test.path,
				Header: upstream.Header{
					{Name: "content-type", Value: "application/json"}, {Name: "anthropic-version", Value: "2023-06-01"},
					{Name: "x-api-key", Value: "sk-ant-1"},
				},
				Joins: []string{"anthropic-beta"},
				Body:  []byte(`{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewRefusesADeploymentWithoutHostOrModel(t *testing.T) {
	for _, target := range []upstream.Target{{BaseURL: "nowhere", Model: "m"}, {BaseURL: base}} {
		if _, err := anthropic.New(&target); err == nil {
			t.Errorf("New(%+v): no error", target)
		}
	}
}

func TestHeaders(t *testing.T) {
	extra := func(fields ...string) (list []upstream.ExtraHeader) {
		for i := 0; i < len(fields); i += 2 {
			list = append(list, upstream.ExtraHeader{Name: fields[i], Value: secret.New(fields[i+1])})
		}
		return list
	}
	tests := map[string]struct {
		target upstream.Target
		params string
		want   map[string]string // "": absent
	}{
		"a subscription's token is a bearer token": {
			target: upstream.Target{APIKey: secret.New("sk-ant-oat01-x")},
			want:   map[string]string{"authorization": "Bearer sk-ant-oat01-x", "anthropic-beta": "oauth-2025-04-20", "x-api-key": ""},
		},
		"no key, no header": {want: map[string]string{"authorization": "", "x-api-key": "", "anthropic-beta": ""}},
		"configured headers come last": {
			target: upstream.Target{APIKey: secret.New("k"), Headers: extra("Anthropic-Version", "2030-01-01", "X-Team", "red")},
			want:   map[string]string{"anthropic-version": "2030-01-01", "x-team": "red"},
		},
		"beta features are merged, each once": {
			target: upstream.Target{Headers: extra("anthropic-beta", "context-1m-2025-08-07, mcp-client-2025-04-04")},
			params: `,"mcp_servers":[],"context_management":{"edits":[{"type":"compact_20260112"}]}`,
			want: map[string]string{
				"anthropic-beta": "context-1m-2025-08-07,mcp-client-2025-04-04,context-management-2025-06-27,compact-2026-01-12",
			},
		},
		"Anthropic's own tools bring theirs": {
			params: `,"tools":[{"type":"computer_20250124","name":"computer"},{"type":"bash_20250124","name":"bash"},` +
				`{"type":"memory_20250818","name":"memory"}]`,
			want: map[string]string{"anthropic-beta": "computer-use-2025-01-24,context-management-2025-06-27"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := call(t, test.target, `{`+hi+test.params+`}`).Header
			for field, want := range test.want {
				if got := header.Get(field); got != want {
					t.Errorf("%s: %q, want %q", field, got, want)
				}
			}
		})
	}
}

func TestRequestsDoNotShareHeaders(t *testing.T) {
	tr := suite.Bind(t, upstream.Target{})
	first, err := tr.Request(translatetest.Request(t, chat.Completions, `{`+hi+`,"speed":"fast"}`))
	if err != nil {
		t.Fatal(err)
	}
	second, err := tr.Request(translatetest.Request(t, chat.Completions, `{`+hi+`}`))
	if err != nil {
		t.Fatal(err)
	}
	if first.Header.Get("anthropic-beta") != "fast-mode-2026-02-01" || second.Header.Get("anthropic-beta") != "" {
		t.Errorf("first %v, second %v", first.Header, second.Header)
	}
}

func TestSupports(t *testing.T) {
	tr := suite.Bind(t, upstream.Target{})
	for endpoint, want := range map[chat.Endpoint]bool{
		chat.Completions:     true,
		chat.TextCompletions: true,
		chat.Embeddings:      false,
		chat.Images:          false,
	} {
		if got := tr.Supports(endpoint); got != want {
			t.Errorf("Supports(%s) = %v", endpoint, got)
		}
	}
	if _, err := tr.Request(translatetest.Request(t, chat.Embeddings, `{"input":"a"}`)); translatetest.Refusal(t, err).Status != 400 {
		t.Errorf("embeddings: %v", err)
	}
}

// answer decodes a provider's answer and blanks out what is made up.
func answer(t testing.TB, target upstream.Target, request, answer string) (string, chat.Result) {
	t.Helper()
	return translatetest.Feed(t,
		suite.Bind(t, target).Decoder(translatetest.Request(t, chat.Completions, request), upstream.Head{Status: 200}), answer)
}
