package gatewaytest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Provider is an upstream that answers as a test says, and what it was asked.
type Provider struct {
	*httptest.Server
	mu    sync.Mutex
	calls []Call
}

// Call is one request that a provider got.
type Call struct {
	Path   string // with the query
	Header http.Header
	Body   string
	Host   string
}

// NewProvider serves with f until the test ends; f gets the body that was read.
func NewProvider(t testing.TB, f func(w http.ResponseWriter, r *http.Request, body string)) *Provider {
	t.Helper()
	p := &Provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.calls = append(p.calls, Call{Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: string(body), Host: r.Host})
		p.mu.Unlock()
		f(w, r, string(body))
	}))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

// Calls are the requests that came so far, in their order, answered or not.
func (p *Provider) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Base is the api_base of the provider.
func (p *Provider) Base() string { return p.URL + "/v1" }

// GoodAnswer is what OpenAI answers to a request that does not stream.
const GoodAnswer = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"up",` +
	`"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],` +
	`"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`

// FirstPiece is the first event of a stream.
const FirstPiece = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"

// goodAnswer is GoodAnswer, or what the other endpoints answer, to a request for this path.
func goodAnswer(path string) string {
	switch {
	case strings.HasSuffix(path, "/embeddings"):
		return `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"up",` +
			`"usage":{"prompt_tokens":3,"total_tokens":3}}`
	case strings.HasSuffix(path, "/responses"):
		return `{"id":"resp_1","object":"response","status":"completed","model":"up","output":[{"type":"message","role":"assistant",` +
			`"content":[{"type":"output_text","text":"hi"}]}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}`
	}
	return GoodAnswer
}

// OpenAI answers like OpenAI, blocking and streaming, with 3 tokens in and 2 out.
func OpenAI(w http.ResponseWriter, r *http.Request, body string) {
	if !strings.Contains(body, `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, goodAnswer(r.URL.Path))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	choices := func(delta, finish string) {
		fmt.Fprintf(w, "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}]}\n\n", delta, finish)
	}
	for _, text := range []string{"Hel", "lo"} {
		choices(fmt.Sprintf(`{"role":"assistant","content":%q}`, text), "null")
		Flush(w)
	}
	choices("{}", `"stop"`)
	if strings.Contains(body, `"include_usage":true`) {
		_, _ = io.WriteString(w, "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[],"+
			"\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n")
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// Priced answers like OpenAI, with these token counts and headers in which the
// provider tells its own limits.
func Priced(prompt, completion int) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Ratelimit-Limit-Requests", "9999")
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "7777")
		fmt.Fprintf(w, `{"id":"c","object":"chat.completion","created":1,"model":"up",`+
			`"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],`+
			`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`, prompt, completion, prompt+completion)
	}
}

// FailWith answers with a status, OpenAI's error shape and headers besides: name,
// value, name, value …
func FailWith(status int, header ...string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"scripted %d","type":null,"param":null,"code":null}}`, status)
	}
}

// Hang answers nothing until the request is over.
func Hang(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() }

// Flush sends what was written so far.
func Flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// Gate is a provider that answers one request like OpenAI for each value sent to Open.
type Gate struct {
	*Provider
	Open chan struct{}
}

// NewGate serves until the test ends.
func NewGate(t testing.TB) *Gate {
	t.Helper()
	g := &Gate{Open: make(chan struct{})}
	g.Provider = NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		select {
		case <-g.Open:
			OpenAI(w, r, body)
		case <-r.Context().Done():
		}
	})
	return g
}

// Pass lets n requests through.
func (g *Gate) Pass(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case g.Open <- struct{}{}:
		case <-time.After(time.Minute):
			t.Fatal("no request waits at the provider")
		}
	}
}

// RefusedAddress is an api_base where connections are refused: its port is bound, so
// that no other test gets it, but does not listen.
func RefusedAddress(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d/v1", name.(*syscall.SockaddrInet4).Port)
}
