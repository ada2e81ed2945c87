package chaos

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// provider is a server of several deployments, each below a path of its own: its id. It
// answers well, unless it has a fault. It is safe for concurrent use.
type provider struct {
	address string
	fault   atomic.Pointer[fault] // nil: it answers well
	dice    dice

	mu     sync.Mutex
	calls  map[call]int
	server *http.Server // nil: it refuses connections
}

// call is what a provider was asked: by which deployment, for which request.
type call struct{ deployment, tag string }

// newProvider serves until the test ends.
func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{address: "127.0.0.1:" + asynctest.FreePort(t), calls: map[call]int{}}
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.refuse)
	return p
}

// listen takes connections, at the same address each time.
func (p *provider) listen() error {
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	go func() { _ = server.Serve(l) }()
	return nil
}

// refuse closes the listener, and each connection when its answer is over.
func (p *provider) refuse() {
	p.mu.Lock()
	server := p.server
	p.server = nil
	p.mu.Unlock()
	if server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// base is the api_base of a deployment in OpenAI's format; without the /v1 it is that of
// one in Anthropic's.
func (p *provider) base(deployment string) string {
	return "http://" + p.address + "/" + deployment + "/v1"
}

// asked are the requests that were read whole so far.
func (p *provider) asked() map[call]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.calls)
}

// tagPattern finds the tag of a request in its text.
var tagPattern = regexp.MustCompile(`tag-[a-z]+-\d+`)

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	deployment, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	tag := tagPattern.FindString(string(body))
	p.mu.Lock()
	p.calls[call{deployment, tag}]++
	p.mu.Unlock()
	a := answerTo(path, tag, strings.Contains(string(body), `"stream":true`))
	if f := p.fault.Load(); f != nil {
		(*f)(&faulty{w: w, r: r, answer: a, roll: p.dice.roll()})
		return
	}
	a.write(w, r)
}

// answer is a good answer: a document, or the events of a stream. It says the tag of
// its request, so that a client knows its own.
type answer struct {
	kind  string // Content-Type
	parts []string
}

func (a *answer) text() string { return strings.Join(a.parts, "") }

// eventPause is the time between two events of a stream: some run at any moment.
const eventPause = 5 * time.Millisecond

func (a *answer) write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", a.kind)
	for _, part := range a.parts {
		if _, err := io.WriteString(w, part); err != nil || !pause(r, eventPause) {
			return
		}
		gatewaytest.Flush(w)
	}
}

// pause waits; false: the client has gone.
func pause(r *http.Request, d time.Duration) bool {
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Tokens of every good answer.
const (
	promptTokens     = 3
	completionTokens = 2
)

// words are how many events of a stream have text.
const words = 12

func answerTo(path, tag string, stream bool) *answer {
	usage := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, promptTokens, completionTokens,
		promptTokens+completionTokens)
	document := func(format string, args ...any) *answer {
		return &answer{"application/json", []string{fmt.Sprintf(format, args...)}}
	}
	switch {
	case strings.HasSuffix(path, "/embeddings"):
		return document(`{"object":"list","model":%q,"data":[{"object":"embedding","index":0,"embedding":[0.25]}],"usage":%s}`, tag, usage)
	case strings.HasSuffix(path, "/responses"):
		return responses(tag, stream)
	case strings.HasSuffix(path, "/messages"):
		return messages(tag, stream)
	case stream:
		return chunks(strings.HasSuffix(path, "/chat/completions"), tag, usage)
	case strings.HasSuffix(path, "/chat/completions"):
		return document(`{"id":"c1","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,`+
			`"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":%s}`, tag, usage)
	}
	return document(`{"id":"c1","object":"text_completion","created":1,"model":"up","choices":[{"index":0,"text":%q,"finish_reason":"stop"}],`+
		`"usage":%s}`, tag, usage)
}

// chunks is a stream of chat or of legacy completions.
func chunks(chat bool, tag, usage string) *answer {
	a := &answer{kind: "text/event-stream"}
	piece := func(text, finish string) string {
		said := fmt.Sprintf(`"text":%q`, text)
		if chat {
			said = fmt.Sprintf(`"delta":{"role":"assistant","content":%q}`, text)
		}
		return fmt.Sprintf(`data: {"id":"c1","model":"up","choices":[{"index":0,%s,"finish_reason":%s}]}`+"\n\n", said, finish)
	}
	a.parts = append(a.parts, piece(tag, "null"))
	for range words {
		a.parts = append(a.parts, piece(" word", "null"))
	}
	a.parts = append(a.parts, piece("", `"stop"`), `data: {"id":"c1","model":"up","choices":[],"usage":`+usage+"}\n\n", "data: [DONE]\n\n")
	return a
}

// responses is an answer of OpenAI's Responses API.
func responses(tag string, stream bool) *answer {
	whole := fmt.Sprintf(`{"id":"r1","object":"response","status":"completed","model":"up","output":[{"type":"message","role":"assistant",`+
		`"content":[{"type":"output_text","text":%q}]}],"usage":{"input_tokens":%d,"output_tokens":%d,"total_tokens":%d}}`, tag, promptTokens,
		completionTokens, promptTokens+completionTokens)
	if !stream {
		return &answer{"application/json", []string{whole}}
	}
	a := &answer{kind: "text/event-stream"}
	event := func(kind, more string) {
		a.parts = append(a.parts, fmt.Sprintf("event: %s\ndata: {\"type\":%q,%s}\n\n", kind, kind, more))
	}
	event("response.created", `"response":{"id":"r1","object":"response","status":"in_progress","output":[]}`)
	event("response.output_text.delta", fmt.Sprintf(`"output_index":0,"content_index":0,"delta":%q`, tag))
	for range words {
		event("response.output_text.delta", `"output_index":0,"content_index":0,"delta":" word"`)
	}
	event("response.completed", `"response":`+whole)
	return a
}

// messages is an answer of Anthropic's.
func messages(tag string, stream bool) *answer {
	if !stream {
		return &answer{"application/json", []string{fmt.Sprintf(`{"id":"m1","type":"message","role":"assistant","model":"up",`+
			`"content":[{"type":"text","text":%q}],"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":%d}}`, tag,
			promptTokens, completionTokens)}}
	}
	a := &answer{kind: "text/event-stream"}
	event := func(kind, more string) {
		a.parts = append(a.parts, fmt.Sprintf("event: %s\ndata: {\"type\":%q%s}\n\n", kind, kind, more))
	}
	say := func(text string) {
		event("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":%q}`, text))
	}
	event("message_start", fmt.Sprintf(`,"message":{"id":"m1","type":"message","role":"assistant","model":"up","content":[],`+
		`"usage":{"input_tokens":%d,"output_tokens":1}}`, promptTokens))
	event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
	say(tag)
	for range words {
		say(" word")
	}
	event("content_block_stop", `,"index":0`)
	event("message_delta", fmt.Sprintf(`,"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%d}`, completionTokens))
	event("message_stop", "")
	return a
}
