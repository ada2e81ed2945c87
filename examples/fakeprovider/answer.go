package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"strings"
	"time"
)

// answer is what the model says: the same for the same question, in tokens.
type answer struct {
	question string
	tokens   []string
	prompt   int // tokens of the question
}

// answerTo makes up the answer to a question.
func answerTo(question string) answer {
	question = strings.TrimSpace(question)
	text := "Hello! I am the fake provider that comes with isthmus: no key, no cost, no model."
	if question != "" {
		text += fmt.Sprintf(" You said %q, which came here through Envoy and was answered in this provider's own format.", shorten(question))
	}
	return answer{question: question, tokens: strings.SplitAfter(text, " "), prompt: len(strings.Fields(question)) + 3}
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

func (a answer) text() string { return strings.Join(a.tokens, "") }

func (a answer) total() int { return a.prompt + len(a.tokens) }

// embed makes up a vector: the same for the same text, of length 1.
func embed(text string, size int) []float64 {
	vector := make([]float64, size)
	var norm float64
	for i := range vector {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s", i, text)
		vector[i] = float64(int64(h.Sum64()))/math.MaxInt64 + 1e-9
		norm += vector[i] * vector[i]
	}
	for i := range vector {
		vector[i] /= math.Sqrt(norm)
	}
	return vector
}

func base64Floats(vector []float64) string {
	var raw []byte
	for _, f := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(f)))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// textOf reads a content member: a string, or parts with text.
func textOf(content json.RawMessage) string {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	_ = json.Unmarshal(content, &parts)
	for _, p := range parts {
		text += p.Text
	}
	return text
}

// stringsOf reads one string or a list of them.
func stringsOf(value json.RawMessage) []string {
	var one string
	if json.Unmarshal(value, &one) == nil {
		return []string{one}
	}
	var many []string
	_ = json.Unmarshal(value, &many)
	return many
}

type object = map[string]any

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// stream writes a streaming answer piece by piece.
type stream struct {
	w     http.ResponseWriter
	r     *http.Request
	pause time.Duration
}

func newStream(w http.ResponseWriter, r *http.Request, contentType string, pause time.Duration) *stream {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	return &stream{w: w, r: r, pause: pause}
}

// event writes one server-sent event.
func (s *stream) event(name string, data any) {
	text, _ := json.Marshal(data)
	if name != "" {
		fmt.Fprintf(s.w, "event: %s\n", name)
	}
	fmt.Fprintf(s.w, "data: %s\n\n", text)
	s.flush()
}

// line writes one NDJSON line.
func (s *stream) line(data any) {
	text, _ := json.Marshal(data)
	fmt.Fprintf(s.w, "%s\n", text)
	s.flush()
}

func (s *stream) flush() { _ = http.NewResponseController(s.w).Flush() }

// wait pauses before the next token; false means that the client has gone.
func (s *stream) wait() bool {
	select {
	case <-s.r.Context().Done():
		return false
	case <-time.After(s.pause):
		return true
	}
}
