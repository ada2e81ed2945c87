package cli

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scenarios are the providers and the model config of the requests that must go
// the same way through every Envoy, however isthmus is attached to it.
type scenarios struct {
	config string
	good   *provider
	seen   chan struct{} // closed when the client has seen the cut stream's first piece
}

func newScenarios(t *testing.T) *scenarios {
	t.Helper()
	c := &scenarios{good: newProvider(t, openAI), seen: make(chan struct{})}
	sum := newProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"x","length":%d,"sum":"%x"}`, len(body), sha256.Sum256([]byte(body)))
	})
	cut := newProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, firstPiece)
		flush(w)
		select {
		case <-c.seen:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	})
	broken := newProvider(t, failWith(500))
	var b strings.Builder
	b.WriteString("model_list:\n" + entry("clean", c.good.base(), ""))
	for name, bad := range map[string]string{
		"after-500": broken.base(), "after-429": newProvider(t, failWith(429, "Retry-After", "7")).base(),
		"after-refused": refused(t), "after-timeout": newProvider(t, hang).base(),
	} {
		timeout := ""
		if name == "after-timeout" {
			timeout = ", timeout: 1"
		}
		b.WriteString(entry(name, bad, ", order: 1"+timeout) + entry(name, c.good.base(), ", order: 2"+timeout))
	}
	b.WriteString(entry("third", broken.base(), ", order: 1") + entry("third", refused(t), ", order: 2") + entry("third", c.good.base(), ", order: 3"))
	b.WriteString(entry("big", broken.base(), ", order: 1") + entry("big", sum.base(), ", order: 2"))
	b.WriteString(entry("up", c.good.base(), "")) // the provider's own name for it
	b.WriteString(entry("cascade", broken.base(), "") + entry("client-error", newProvider(t, failWith(400)).base(), ""))
	b.WriteString(entry("limited", newProvider(t, failWith(429, "Retry-After", "7")).base(), ", num_retries: 0") + entry("cut", cut.base(), ""))
	b.WriteString("router_settings: {num_retries: 2, cooldown_time: 0, fallbacks: [{cascade: [clean]}]}\ngeneral_settings: {max_request_size_mb: 8}\n")
	c.config = b.String()
	return c
}

const firstPiece = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"

// named asks for a model.
func named(model, body string) string { return strings.Replace(body, `"m"`, `"`+model+`"`, 1) }

// run asks for everything. once: this Envoy (1.36) tries each deployment once,
// and shows every attempt to isthmus.
func (c *scenarios) run(t *testing.T, s *stack, once bool) {
	t.Run("a clean request costs one stream and reaches the provider as it was", func(t *testing.T) { c.clean(t, s, once) })
	t.Run("a failed deployment is passed over for its sister", func(t *testing.T) { c.retries(t, s) })
	t.Run("a cascade goes on to the next group", func(t *testing.T) { c.cascade(t, s, once) })
	t.Run("a stream arrives whole", func(t *testing.T) {
		got := s.post("/v1/chat/completions", named("clean", askStream))
		if got.status != 200 || got.err != nil || strings.Count(got.body, "data: ") != 4 || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
			t.Errorf("stream: %d %v\n%s", got.status, got.err, got.body)
		}
	})
	t.Run("a large body arrives whole at the second attempt", func(t *testing.T) {
		body := `{"model":"up","messages":[{"role":"user","content":"` + strings.Repeat("0123456789abcdef", 5<<20/16) + `"}]}`
		want := fmt.Sprintf(`{"id":"x","length":%d,"sum":"%x"}`, len(body), sha256.Sum256([]byte(body)))
		if got := s.post("/v1/chat/completions", strings.Replace(body, `"up"`, `"big"`, 1)); got.status != 200 || got.body != want {
			t.Errorf("5 MB: %d %s, want %s", got.status, got.body, want)
		}
	})
	t.Run("a body that is right as it is stays with Envoy", func(t *testing.T) { c.unchanged(t, s) })
	t.Run("errors have OpenAI's shape", func(t *testing.T) { c.errors(t, s) })
	t.Run("a cut stream never looks whole", func(t *testing.T) { c.cut(t, s) })
	s.idle()
}

func (c *scenarios) clean(t *testing.T, s *stack, once bool) {
	before := [3]int{s.streams("request"), s.streams("retry"), s.streams("failure")}
	first := len(c.good.calls())
	got := s.post("/v1/chat/completions", named("clean", ask), "Authorization", "Bearer client-canary", "X-Isthmus-Cluster", "deployment/nope",
		"X-Isthmus-Retry", "1", "X-Envoy-Max-Retries", "9", "Cookie", "canary=1")
	if got.status != 200 || got.body != goodAnswer || got.header.Get("X-Isthmus-Attempts") != "1" {
		t.Fatalf("answer = %d %v %s", got.status, got.header, got.body)
	}
	want := [3]int{1, 0, 0}
	if once {
		want = [3]int{1, 1, 0}
	}
	after := [3]int{s.streams("request") - before[0], s.streams("retry") - before[1], s.streams("failure") - before[2]}
	if after != want {
		t.Errorf("streams of request, retry, failure filter: %v, want %v", after, want)
	}
	calls := c.good.calls()[first:]
	if len(calls) != 1 {
		t.Fatalf("the provider was asked %d times", len(calls))
	}
	wantHeader := http.Header{
		"Authorization": {"Bearer sk-provider"}, "Content-Type": {"application/json"}, "Accept": {"application/json"},
		"Accept-Encoding": {"identity"}, "User-Agent": {"isthmus"}, "Content-Length": {fmt.Sprint(len(calls[0].body))},
	}
	if diff := cmp.Diff(wantHeader, calls[0].header); diff != "" {
		t.Errorf("headers at the provider (-want +got):\n%s", diff)
	}
	if want := c.good.Listener.Addr().String(); calls[0].host != want {
		t.Errorf("the provider was asked as %s, want %s", calls[0].host, want)
	}
}

func (c *scenarios) unchanged(t *testing.T, s *stack) {
	body := strings.Replace(ask, `"m"`, ` "up"`, 1)
	for name, sent := range map[string]io.Reader{"with a length": strings.NewReader(body), "in chunks": io.MultiReader(strings.NewReader(body))} {
		first := len(c.good.calls())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/chat/completions", sent)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = s.host
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(text) != goodAnswer || err != nil {
			t.Errorf("sent %s: %d %s %v", name, resp.StatusCode, text, err)
		}
		_ = resp.Body.Close()
		for _, call := range c.good.calls()[first:] {
			if call.body != body || call.header.Get("Content-Length") != fmt.Sprint(len(body)) {
				t.Errorf("sent %s, the provider got %v %s", name, call.header, call.body)
			}
		}
	}
}

func (c *scenarios) retries(t *testing.T, s *stack) {
	first := len(c.good.calls())
	for model, attempts := range map[string]string{"after-500": "2", "after-429": "2", "after-refused": "2", "after-timeout": "2", "third": "3"} {
		for _, body := range []string{ask, askStream} {
			got := s.post("/v1/chat/completions", named(model, body))
			if got.status != 200 || got.err != nil || got.header.Get("X-Isthmus-Attempts") != attempts {
				t.Errorf("%s: %d after %s attempts, %v: %s", model, got.status, got.header.Get("X-Isthmus-Attempts"), got.err, got.body)
			}
		}
	}
	for _, call := range c.good.calls()[first:] {
		if call.header.Get("Content-Length") != fmt.Sprint(len(call.body)) || call.header.Get("X-Envoy-Attempt-Count")+call.header.Get("X-Envoy-Original-Host") != "" || !strings.Contains(call.body, `"model":"up"`) ||
			call.host != c.good.Listener.Addr().String() {
			t.Errorf("a later attempt, at %s: %v %s", call.host, call.header, call.body)
		}
	}
}

func (c *scenarios) cascade(t *testing.T, s *stack, once bool) {
	want := "4" // three tries of the group, then the next
	if once {
		want = "2"
	}
	got := s.post("/v1/chat/completions", named("cascade", ask))
	if got.status != 200 || got.header.Get("X-Isthmus-Attempts") != want || got.header.Get("X-Isthmus-Fallbacks") != "1" {
		t.Errorf("cascade: %d %v %s", got.status, got.header, got.body)
	}
}

func (c *scenarios) errors(t *testing.T, s *stack) {
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"an unknown model":              {named("nope", ask), 404, "model_not_found"},
		"no JSON":                       {"model=m", 400, ""},
		"a body over the limit":         {named("clean", strings.Replace(ask, "hi", strings.Repeat("x", 9<<20), 1)), 413, "request_too_large"},
		"the client's own error":        {named("client-error", ask), 400, ""},
		"a provider's limit, to all":    {named("limited", ask), 429, ""},
		"a provider's limit, to stream": {named("limited", askStream), 429, ""},
	} {
		got := s.post("/v1/chat/completions", tc.body)
		if _, code, _, _ := errorOf(t, got); got.status != tc.status || code != tc.code {
			t.Errorf("%s: %d %s, want %d %q", name, got.status, got.body, tc.status, tc.code)
		}
		if tc.status == 429 && got.header.Get("Retry-After") != "7" {
			t.Errorf("%s: Retry-After %q", name, got.header.Get("Retry-After"))
		}
	}
	if got := s.get("/v1/models"); got.status != 200 || !strings.Contains(got.body, `"after-500"`) {
		t.Errorf("models: %d %s", got.status, got.body)
	}
}

func (c *scenarios) cut(t *testing.T, s *stack) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(named("cut", askStream)))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = s.host
	client := &http.Client{Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	first := make([]byte, len(firstPiece))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != firstPiece {
		t.Fatalf("the first piece is %q (%v)", first, err)
	}
	close(c.seen)
	if rest, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a cut stream ended cleanly with %q", rest)
	}
}
