package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// script is what a provider does with one request. It stands in the prompt as
// "[name=number …]", so that a request and its script cannot be parted.
type script struct {
	size   int // bytes of the answer's text
	chunks int // events of a stream
	pause  int // ms between two events
	wait   int // ms before the answer

	// What the failing deployments do; the others leave it out.
	status int // of the error; 0: the connection is reset instead
	errors int // bytes of the error's body
	cut    int // 1: break off in the middle of the answer
	hang   int // 1: answer nothing
}

func (s script) String() string {
	return fmt.Sprintf("[size=%d chunks=%d pause=%d wait=%d status=%d errors=%d cut=%d hang=%d]",
		s.size, s.chunks, s.pause, s.wait, s.status, s.errors, s.cut, s.hang)
}

var scriptPattern = regexp.MustCompile(
	`\[size=(\d+) chunks=(\d+) pause=(\d+) wait=(\d+) status=(\d+) errors=(\d+) cut=(\d+) hang=(\d+)\]`)

// scriptOf finds the script of a request body.
func scriptOf(body []byte) script {
	m := scriptPattern.FindSubmatch(body)
	if m == nil {
		return script{}
	}
	var n [8]int
	for i := range n {
		n[i], _ = strconv.Atoi(string(m[i+1]))
	}
	return script{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]}
}

// provider speaks OpenAI's and Anthropic's formats. Below /failing it does what
// the script says of failures, elsewhere it answers well.
func provider(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s := scriptOf(body)
	if !pause(r, s.wait) {
		return
	}
	failing := strings.HasPrefix(r.URL.Path, "/failing")
	if failing && s.cut == 0 {
		fail(w, r, s)
		return
	}
	stream := bytes.Contains(body, []byte(`"stream":true`))
	a := answer{w: w, r: r, script: s, cut: failing}
	switch claude := strings.HasSuffix(r.URL.Path, "/messages"); {
	case claude && stream:
		a.claudeStream()
	case claude:
		a.whole(`{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"`,
			`"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}`)
	case stream:
		a.openAIStream()
	default:
		a.whole(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"up",`+
			`"choices":[{"index":0,"message":{"role":"assistant","content":"`,
			`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`)
	}
}

// pause reports false when the request has ended meanwhile.
func pause(r *http.Request, ms int) bool {
	if ms == 0 {
		return true
	}
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return true
	case <-r.Context().Done():
		return false
	}
}

func fail(w http.ResponseWriter, r *http.Request, s script) {
	switch {
	case s.hang == 1:
		<-r.Context().Done()
	case s.status == 0:
		reset(w)
	default:
		what := map[string]any{"message": filler(s.errors), "type": "scripted", "param": nil, "code": nil}
		text, _ := json.Marshal(map[string]any{"error": what})
		w.Header().Set("Content-Type", "application/json")
		if s.errors%2 == 0 { // else in chunks, when it is not small
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		}
		w.WriteHeader(s.status)
		_, _ = w.Write(text)
	}
}

// reset ends the connection with a TCP reset.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// filler is so many bytes of text.
func filler(n int) string {
	const words = "all the world is a stage and all the men and women merely players "
	return strings.Repeat(words, n/len(words)+1)[:n]
}

// answer writes one good answer; cut breaks it off in the middle.
type answer struct {
	w      http.ResponseWriter
	r      *http.Request
	script script
	cut    bool
}

func (a answer) whole(before, after string) {
	text := before + filler(a.script.size) + after
	a.w.Header().Set("Content-Type", "application/json")
	a.w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if !a.cut {
		_, _ = io.WriteString(a.w, text)
		return
	}
	_, _ = io.WriteString(a.w, text[:len(text)/2])
	_ = http.NewResponseController(a.w).Flush()
	panic(http.ErrAbortHandler)
}

// events writes the script's events; false: the client has gone.
func (a answer) events(event func(text string) string) bool {
	text := filler(a.script.size / max(a.script.chunks, 1))
	for i := range a.script.chunks {
		if a.cut && i == a.script.chunks/2 {
			panic(http.ErrAbortHandler)
		}
		if _, err := io.WriteString(a.w, event(text)); err != nil {
			return false
		}
		if a.script.pause > 0 {
			_ = http.NewResponseController(a.w).Flush()
		}
		if !pause(a.r, a.script.pause) {
			return false
		}
	}
	return true
}

func (a answer) openAIStream() {
	a.w.Header().Set("Content-Type", "text/event-stream")
	if !a.events(func(text string) string {
		return `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"up",` +
			`"choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}` + "\n\n"
	}) {
		return
	}
	_, _ = io.WriteString(a.w, `data: {"id":"c1","model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n"+
		`data: {"id":"c1","model":"up","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`+"\n\ndata: [DONE]\n\n")
}

func (a answer) claudeStream() {
	a.w.Header().Set("Content-Type", "text/event-stream")
	const message = `{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],` +
		`"usage":{"input_tokens":3,"output_tokens":1}}`
	_, _ = io.WriteString(a.w, `event: message_start
data: {"type":"message_start","message":`+message+`}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

`)
	if !a.events(func(text string) string {
		return "event: content_block_delta\n" +
			`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"` + text + `"}}` + "\n\n"
	}) {
		return
	}
	_, _ = io.WriteString(a.w, `event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

`)
}
