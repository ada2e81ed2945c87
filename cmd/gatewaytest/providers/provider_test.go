package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// strictProvider is a provider that speaks its own format and nothing else. It checks
// all that it is asked, as the real one does, and plays the model of conversation_test.go
// in that format. What it refuses is a fault of the gateway: it is kept and fails
// the test.
type strictProvider struct {
	*gatewaytest.Provider
	format format
	down   int // the status of every answer, though the request is good; 0: it is up
	mu     sync.Mutex
	faults []string
}

// format is one provider's way to say things.
type format interface {
	// read checks a request and understands it.
	read(c gatewaytest.Call) (*conversation, error)
	// answer writes what the model replies.
	answer(w http.ResponseWriter, c *conversation, r reply)
	// fail writes an error in the provider's shape.
	fail(w http.ResponseWriter, status int, message string)
}

// conversation is a request, whatever the format it came in.
type conversation struct {
	kind     string // chat, completions, embeddings
	model    string
	stream   bool
	usage    bool // the client of the provider wants to know it in a stream
	system   string
	messages []said
	tools    []string        // names of the functions
	schema   json.RawMessage // of the answer
	thinks   bool            // the model is asked to show its thoughts
	base64   bool            // embeddings
	inputs   []string        // embeddings, completions
	// memory checks what else of an answer the provider must find again in the
	// conversation: thoughts and signatures. nil: nothing.
	memory func(m said, was reply) error
}

// said is one message, or one part of a turn with several.
type said struct {
	role     string // user, assistant, tool
	text     string
	images   []string // base64
	calls    []toolCall
	id, name string // tool: the call that this answers, as far as the format tells
	thoughts []thought
}

// toolCall is a call of a function.
type toolCall struct{ id, name, arguments, signature string }

// thought is a piece of reasoning, signed where the provider signs.
type thought struct{ text, signature, redacted string }

// reply is what the model says.
type reply struct {
	thoughts  []thought
	text      []string // pieces of a stream
	signature string   // of the text, where the provider signs it
	calls     []toolCall
	status    int    // an error instead, before the first byte
	message   string // of the error
	breaks    bool   // an error after the text, inside the stream
	vectors   [][]float64
}

func (r reply) all() string { return strings.Join(r.text, "") }

// Token counts of every answer: the same, whatever the format.
const (
	promptTokens    = 21
	cachedTokens    = 8 // of the prompt
	outputTokens    = 9
	reasoningTokens = 3 // of the output
	totalTokens     = promptTokens + outputTokens
)

// errDenied is a request with the wrong credentials.
var errDenied = errors.New("the key is wrong or in the wrong place")

func newStrictProvider(t *testing.T, f format) *strictProvider {
	t.Helper()
	s := &strictProvider{format: f}
	s.Provider = gatewaytest.NewProvider(t, s.serve)
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, fault := range s.faults {
			t.Errorf("%T refused a request: %s", f, fault)
		}
	})
	return s
}

func (s *strictProvider) serve(w http.ResponseWriter, r *http.Request, body string) {
	c, err := s.format.read(gatewaytest.Call{Path: r.URL.RequestURI(), Header: r.Header, Body: body})
	var answer reply
	if err == nil && s.down == 0 {
		answer, err = play(c)
	}
	if err != nil {
		s.mu.Lock()
		s.faults = append(s.faults, fmt.Sprintf("%v\n  %s %s", err, r.URL.RequestURI(), body))
		s.mu.Unlock()
		status := http.StatusBadRequest
		if errors.Is(err, errDenied) {
			status = http.StatusUnauthorized
		}
		s.format.fail(w, status, err.Error())
		return
	}
	if s.down != 0 {
		// Some servers quote what they were sent.
		s.format.fail(w, s.down, fmt.Sprintf("scripted %d, the request had %q", s.down, r.Header))
		return
	}
	if answer.status != 0 {
		s.format.fail(w, answer.status, answer.message)
		return
	}
	s.format.answer(w, c, answer)
}

// strictly decodes JSON and refuses members that the format does not have.
func strictly(text []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body is not of this format: %w", err)
	}
	return nil
}

// expectHeaders checks what every provider asks of the header: its credentials
// where it wants them, and no others.
func expectHeaders(c gatewaytest.Call, name, value string) error {
	if c.Header.Get(name) != value {
		return fmt.Errorf("%w: no good %s", errDenied, name)
	}
	for _, other := range []string{"Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "Cookie"} {
		if !strings.EqualFold(other, name) && c.Header.Get(other) != "" {
			return fmt.Errorf("%w: it has %s", errDenied, other)
		}
	}
	if kind := c.Header.Get("Content-Type"); kind != "application/json" {
		return fmt.Errorf("content-type is %q", kind)
	}
	if c.Header.Get("Accept-Encoding") != "identity" {
		return fmt.Errorf("accept-encoding is %q", c.Header.Get("Accept-Encoding"))
	}
	return nil
}

// object is a JSON object of an answer.
type object map[string]any

func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// writeEvent writes one server-sent event and flushes it; name may be empty.
func writeEvent(w http.ResponseWriter, name string, value any) {
	w.Header().Set("Content-Type", "text/event-stream")
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	if name != "" {
		_, _ = fmt.Fprintf(w, "event: %s\n", name)
	}
	_, _ = fmt.Fprintf(w, "data: %s\n\n", text)
	gatewaytest.Flush(w)
}

// halves cuts a text in two, as streams do.
func halves(text string) []string {
	return []string{text[:len(text)/2], text[len(text)/2:]}
}
