package gatewaytest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// Bodies of requests for the model m.
const (
	Ask       = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	AskStream = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
	// UsageStream asks for the usage at the end of the stream.
	UsageStream = `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`
)

// ForModel is a body for m, as a request for another model.
func ForModel(model, body string) string { return strings.Replace(body, `"m"`, `"`+model+`"`, 1) }

// With is a body with one member more: With(`"seed":1`, Ask).
func With(member, body string) string {
	return strings.Replace(body, `"model"`, member+`,"model"`, 1)
}

// Answer is an HTTP answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error // of reading the body: the stream was cut
}

// requestTime bounds a request of a test, whatever the machine does.
const requestTime = 2 * time.Minute

// Post sends a JSON body; see Do.
func (g *Gateway) Post(path, body string, header ...string) *Answer {
	g.T.Helper()
	return g.Do(http.MethodPost, path, body, header...)
}

// Get is Do without a body.
func (g *Gateway) Get(path string, header ...string) *Answer {
	g.T.Helper()
	return g.Do(http.MethodGet, path, "", header...)
}

// Do makes a request and returns the whole answer; header is name, value, name,
// value … A request without an answer fails the test.
func (g *Gateway) Do(method, path, body string, header ...string) *Answer {
	g.T.Helper()
	ctx, cancel := context.WithTimeout(g.T.Context(), requestTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, g.URL+path, strings.NewReader(body))
	if err != nil {
		g.T.Fatal(err)
	}
	req.Host = g.Host
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.T.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return &Answer{resp.StatusCode, resp.Header, string(text), err}
}

// SendLeaving sends a chat request in the background; leave cancels it.
func (g *Gateway) SendLeaving(body string) (leave func()) {
	ctx, cancel := context.WithCancel(g.T.Context())
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = Drain(resp)
		}
	}()
	return cancel
}

// Leave sends a chat request and cancels it when the provider has it.
func (g *Gateway) Leave(t *testing.T, p *Provider, body string) {
	t.Helper()
	before := len(p.Calls())
	leave := g.SendLeaving(body)
	asynctest.Await(t, "the provider has the request", func() bool { return len(p.Calls()) > before })
	leave()
}

// Drain reads the body of an answer to its end and closes it.
func Drain(resp *http.Response) error {
	_, err := io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// ErrorOf reads OpenAI's error object; an answer of another shape fails the test.
func ErrorOf(t *testing.T, a *Answer) (kind, code, param, message string) {
	t.Helper()
	var body struct {
		Error *struct{ Type, Code, Param, Message string }
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || body.Error == nil {
		t.Fatalf("status %d: not OpenAI's error shape (%v): %s", a.Status, err, a.Body)
	}
	if k := a.Header.Get("Content-Type"); k != "application/json" {
		t.Errorf("content-type = %q", k)
	}
	return body.Error.Type, body.Error.Code, body.Error.Param, body.Error.Message
}

// ExpectRefusal checks the 429 of a limit of ours, with this code.
func ExpectRefusal(t *testing.T, a *Answer, code string) {
	t.Helper()
	kind, got, _, _ := ErrorOf(t, a)
	wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if a.Status != 429 || kind != "rate_limit_error" || got != code || err != nil || wait < 1 || wait > 61 {
		t.Errorf("%d, %s %s, Retry-After %q", a.Status, kind, got, a.Header.Get("Retry-After"))
	}
}
