package attach

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// scenarios are the providers and the model config of the requests that must go
// the same way through every Envoy, however isthmus is attached to it.
type scenarios struct {
	config string
	good   *gatewaytest.Provider
	seen   chan struct{} // closed when the client has seen the cut stream's first piece
}

func newScenarios(t *testing.T) *scenarios {
	t.Helper()
	c := &scenarios{good: gatewaytest.NewProvider(t, gatewaytest.OpenAI), seen: make(chan struct{})}
	sum := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, sumOf(body))
	})
	cut := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, gatewaytest.FirstPiece)
		gatewaytest.Flush(w)
		select {
		case <-c.seen:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	})
	broken := gatewaytest.NewProvider(t, gatewaytest.FailWith(500))
	var b strings.Builder
	b.WriteString("model_list:\n" + gatewaytest.Entry("clean", c.good.Base(), ""))
	for name, bad := range map[string]string{
		"after-500": broken.Base(), "after-429": gatewaytest.NewProvider(t, gatewaytest.FailWith(429, "Retry-After", "7")).Base(),
		"after-refused": gatewaytest.RefusedAddress(t), "after-timeout": gatewaytest.NewProvider(t, gatewaytest.Hang).Base(),
	} {
		timeout := ""
		if name == "after-timeout" {
			timeout = ", timeout: 1" // its own: the next one has ten minutes
		}
		b.WriteString(gatewaytest.Entry(name, bad, ", order: 1"+timeout) + gatewaytest.Entry(name, c.good.Base(), ", order: 2"))
	}
	b.WriteString(gatewaytest.Entry("third", broken.Base(), ", order: 1") +
		gatewaytest.Entry("third", gatewaytest.RefusedAddress(t), ", order: 2") + gatewaytest.Entry("third", c.good.Base(), ", order: 3"))
	b.WriteString(gatewaytest.Entry("big", broken.Base(), ", order: 1") + gatewaytest.Entry("big", sum.Base(), ", order: 2"))
	b.WriteString(gatewaytest.Entry("after-event", gatewaytest.NewProvider(t, failsInItsStream).Base(), ", order: 1") +
		gatewaytest.Entry("after-event", c.good.Base(), ", order: 2"))
	b.WriteString(gatewaytest.Entry("up", c.good.Base(), "")) // the provider's own name for it
	b.WriteString(gatewaytest.Entry("cascade", broken.Base(), "") +
		gatewaytest.Entry("client-error", gatewaytest.NewProvider(t, gatewaytest.FailWith(400)).Base(), ""))
	b.WriteString(gatewaytest.Entry("limited", gatewaytest.NewProvider(t, gatewaytest.FailWith(429, "Retry-After", "7")).Base(),
		", num_retries: 0") + gatewaytest.Entry("cut", cut.Base(), ""))
	b.WriteString("router_settings: {num_retries: 2, cooldown_time: 0, fallbacks: [{cascade: [clean]}]}\n" +
		"general_settings: {max_request_size_mb: 8}\n")
	c.config = b.String()
	return c
}

// run asks for everything. once: this Envoy (1.36) tries each deployment once,
// and shows every attempt to isthmus.
func (c *scenarios) run(t *testing.T, s *gatewaytest.Gateway, once bool) {
	t.Run("a clean request costs one stream and reaches the provider as it was", func(t *testing.T) { c.clean(t, s, once) })
	t.Run("a failed deployment is passed over for its sister", func(t *testing.T) { c.retries(t, s) })
	t.Run("a cascade goes on to the next group", func(t *testing.T) { c.cascade(t, s, once) })
	t.Run("a stream arrives whole", func(t *testing.T) {
		got := s.Post("/v1/chat/completions", gatewaytest.ForModel("clean", gatewaytest.AskStream))
		if got.Status != 200 || got.Err != nil || strings.Count(got.Body, "data: ") != 4 || !strings.HasSuffix(got.Body, "data: [DONE]\n\n") {
			t.Errorf("stream: %d %v\n%s", got.Status, got.Err, got.Body)
		}
	})
	t.Run("a stream that fails before its first content is passed over", func(t *testing.T) { c.fallsOver(t, s, once) })
	t.Run("a large body arrives whole at the second attempt", func(t *testing.T) {
		body := `{"model":"up","messages":[{"role":"user","content":"` + strings.Repeat("0123456789abcdef", 5<<20/16) + `"}]}`
		want := sumOf(body)
		if got := s.Post("/v1/chat/completions", strings.Replace(body, `"up"`, `"big"`, 1)); got.Status != 200 || got.Body != want {
			t.Errorf("5 MB: %d %s, want %s", got.Status, got.Body, want)
		}
	})
	t.Run("a body that is right as it is stays with Envoy", func(t *testing.T) { c.unchanged(t, s) })
	t.Run("errors have OpenAI's shape", func(t *testing.T) { c.errors(t, s) })
	t.Run("a cut stream never looks whole", func(t *testing.T) { c.cut(t, s) })
	s.Idle()
}

func (c *scenarios) clean(t *testing.T, s *gatewaytest.Gateway, once bool) {
	before := [3]int{s.Streams("request"), s.Streams("retry"), s.Streams("failure")}
	first := len(c.good.Calls())
	got := s.Post("/v1/chat/completions", gatewaytest.ForModel("clean", gatewaytest.Ask), "Authorization", "Bearer client-canary",
		"X-Isthmus-Cluster", "deployment/nope", "X-Isthmus-Retry", "1", "X-Envoy-Max-Retries", "9", "Cookie", "canary=1")
	if got.Status != 200 || got.Body != gatewaytest.GoodAnswer || got.Header.Get("X-Isthmus-Attempts") != "1" {
		t.Fatalf("answer = %d %v %s", got.Status, got.Header, got.Body)
	}
	want := [3]int{1, 0, 0}
	if once {
		want = [3]int{1, 1, 0}
	}
	after := [3]int{s.Streams("request") - before[0], s.Streams("retry") - before[1], s.Streams("failure") - before[2]}
	if after != want {
		t.Errorf("streams of request, retry, failure filter: %v, want %v", after, want)
	}
	calls := c.good.Calls()[first:]
	if len(calls) != 1 {
		t.Fatalf("the provider was asked %d times", len(calls))
	}
	wantHeader := http.Header{
		"Authorization": {"Bearer sk-provider"}, "Content-Type": {"application/json"}, "Accept": {"application/json"},
		"Accept-Encoding": {"identity"}, "User-Agent": {"isthmus"}, "Content-Length": {fmt.Sprint(len(calls[0].Body))},
	}
	if diff := cmp.Diff(wantHeader, calls[0].Header); diff != "" {
		t.Errorf("headers at the provider (-want +got):\n%s", diff)
	}
	if want := c.good.Listener.Addr().String(); calls[0].Host != want {
		t.Errorf("the provider was asked as %s, want %s", calls[0].Host, want)
	}
}

// sumOf is an answer that tells which request it is for.
func sumOf(body string) string {
	return fmt.Sprintf(`{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"%d bytes, %x"},"finish_reason":"stop"}]}`,
		len(body), sha256.Sum256([]byte(body)))
}

// failsInItsStream answers 200 with an error as first event.
func failsInItsStream(w http.ResponseWriter, _ *http.Request, _ string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: {\"error\":{\"message\":\"no room\",\"type\":\"server_error\"}}\n\n")
}

// fallsOver: but on 1.36, which cannot, nobody sees the first provider's error.
func (c *scenarios) fallsOver(t *testing.T, s *gatewaytest.Gateway, once bool) {
	first := len(c.good.Calls())
	got := s.Post("/v1/chat/completions", gatewaytest.ForModel("after-event", gatewaytest.AskStream), "X-Isthmus-Opening", "1")
	if once {
		if got.Status != 200 || !strings.Contains(got.Body, "no room") {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		return
	}
	if got.Status != 200 || got.Err != nil || strings.Count(got.Body, "data: ") != 4 || !strings.HasSuffix(got.Body, "data: [DONE]\n\n") ||
		got.Header.Get("X-Isthmus-Attempts") != "2" || got.Header.Get("X-Isthmus-Opening") != "" {
		t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
	}
	for _, call := range c.good.Calls()[first:] {
		if call.Header.Get("X-Isthmus-Opening") != "" || call.Header.Get("Content-Length") != fmt.Sprint(len(call.Body)) {
			t.Errorf("headers at the provider: %v", call.Header)
		}
	}
}

func (c *scenarios) unchanged(t *testing.T, s *gatewaytest.Gateway) {
	body := strings.Replace(gatewaytest.Ask, `"m"`, ` "up"`, 1)
	for name, sent := range map[string]io.Reader{"with a length": strings.NewReader(body),
		"in chunks": io.MultiReader(strings.NewReader(body))} {
		first := len(c.good.Calls())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions", sent)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = s.Host
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(text) != gatewaytest.GoodAnswer || err != nil {
			t.Errorf("sent %s: %d %s %v", name, resp.StatusCode, text, err)
		}
		_ = resp.Body.Close()
		for _, call := range c.good.Calls()[first:] {
			if call.Body != body || call.Header.Get("Content-Length") != fmt.Sprint(len(body)) {
				t.Errorf("sent %s, the provider got %v %s", name, call.Header, call.Body)
			}
		}
	}
}

func (c *scenarios) retries(t *testing.T, s *gatewaytest.Gateway) {
	first := len(c.good.Calls())
	for model, attempts := range map[string]string{"after-500": "2", "after-429": "2", "after-refused": "2", "after-timeout": "2",
		"third": "3"} {
		for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
			got := s.Post("/v1/chat/completions", gatewaytest.ForModel(model, body))
			if got.Status != 200 || got.Err != nil || got.Header.Get("X-Isthmus-Attempts") != attempts {
				t.Errorf("%s: %d after %s attempts, %v: %s", model, got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Err, got.Body)
			}
		}
	}
	for _, call := range c.good.Calls()[first:] {
		if call.Header.Get("Content-Length") != fmt.Sprint(len(call.Body)) ||
			call.Header.Get("X-Envoy-Attempt-Count")+call.Header.Get("X-Envoy-Original-Host") != "" ||
			!strings.Contains(call.Body, `"model":"up"`) ||
			call.Host != c.good.Listener.Addr().String() {
			t.Errorf("a later attempt, at %s: %v %s", call.Host, call.Header, call.Body)
		}
	}
}

func (c *scenarios) cascade(t *testing.T, s *gatewaytest.Gateway, once bool) {
	want := "4" // three tries of the group, then the next
	if once {
		want = "2"
	}
	got := s.Post("/v1/chat/completions", gatewaytest.ForModel("cascade", gatewaytest.Ask))
	if got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != want || got.Header.Get("X-Isthmus-Fallbacks") != "1" {
		t.Errorf("cascade: %d %v %s", got.Status, got.Header, got.Body)
	}
}

func (c *scenarios) errors(t *testing.T, s *gatewaytest.Gateway) {
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"an unknown model": {gatewaytest.ForModel("nope", gatewaytest.Ask), 404, "model_not_found"},
		"no JSON":          {"model=m", 400, ""},
		"a body over the limit": {gatewaytest.ForModel("clean", strings.Replace(gatewaytest.Ask, "hi", strings.Repeat("x", 9<<20), 1)),
			413, "request_too_large"},
		"the client's own error":        {gatewaytest.ForModel("client-error", gatewaytest.Ask), 400, ""},
		"a provider's limit, to all":    {gatewaytest.ForModel("limited", gatewaytest.Ask), 429, ""},
		"a provider's limit, to stream": {gatewaytest.ForModel("limited", gatewaytest.AskStream), 429, ""},
	} {
		got := s.Post("/v1/chat/completions", tc.body)
		if _, code, _, _ := gatewaytest.ErrorOf(t, got); got.Status != tc.status || code != tc.code {
			t.Errorf("%s: %d %s, want %d %q", name, got.Status, got.Body, tc.status, tc.code)
		}
		if tc.status == 429 && got.Header.Get("Retry-After") != "7" {
			t.Errorf("%s: Retry-After %q", name, got.Header.Get("Retry-After"))
		}
	}
	if got := s.Get("/v1/models"); got.Status != 200 || !strings.Contains(got.Body, `"after-500"`) {
		t.Errorf("models: %d %s", got.Status, got.Body)
	}
}

func (c *scenarios) cut(t *testing.T, s *gatewaytest.Gateway) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions",
		strings.NewReader(gatewaytest.ForModel("cut", gatewaytest.AskStream)))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = s.Host
	client := &http.Client{Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	first := make([]byte, len(gatewaytest.FirstPiece))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != gatewaytest.FirstPiece {
		t.Fatalf("the first piece is %q (%v)", first, err)
	}
	close(c.seen)
	if rest, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a cut stream ended cleanly with %q", rest)
	}
}
