package openai

import (
	"net/url"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Translator speaks OpenAI's format for one deployment. It is safe for
// concurrent use.
type Translator struct {
	target *upstream.Target
	path   string // of the base URL, without a trailing slash
	header upstream.Header
	editor *BodyEditor
}

// New returns the Translator of an OpenAI-format deployment.
func New(t *upstream.Target) (*Translator, error) {
	base, err := t.Base()
	if err != nil {
		return nil, err
	}
	tr := &Translator{
		target: t,
		path:   strings.TrimRight(base.EscapedPath(), "/"),
		editor: NewBodyEditor(t, IsOpenAI(base)),
	}
	tr.header.Set("content-type", "application/json")
	if !t.APIKey.IsZero() {
		tr.header.Set("authorization", "Bearer "+t.APIKey.Reveal())
	}
	if t.Organization != "" {
		tr.header.Set("openai-organization", t.Organization)
	}
	tr.header.SetExtra(t.Headers)
	return tr, nil
}

// IsOpenAI reports whether an address is OpenAI's own.
func IsOpenAI(base *url.URL) bool { return strings.HasSuffix("."+base.Hostname(), ".openai.com") }

// Supports reports true for every endpoint: what a server does not have it
// says itself.
func (tr *Translator) Supports(chat.Endpoint) bool { return true }

// Request edits the client's body for the deployment.
func (tr *Translator) Request(req *chat.Request) (*upstream.Call, error) {
	call := &upstream.Call{
		Method: "POST",
		Path:   tr.path + "/" + string(req.Endpoint),
		Header: WithAccept(tr.header, req),
		Takes:  ClientFields,
	}
	if err := tr.editor.Edit(req, call); err != nil {
		return nil, err
	}
	return call, nil
}

// Relays reports whether the answer to a request goes to the client as it comes:
// not when the server's words for a blocking answer are not OpenAI's.
func (tr *Translator) Relays(req *chat.Request) bool {
	return req.Stream || req.Endpoint != chat.Completions || !tr.editor.quirks.rewritesAnswers()
}

// Carries reports whether the answer to a request needs no look at all: a stream
// of OpenAI itself, or of a server whose streams are said to be like OpenAI's to
// the last event. Several choices of such a server may be counted one by one (as
// llama.cpp's are), which Envoy does not add up; and where probabilities are asked for,
// the bytes of a stream say nothing of its tokens.
func (tr *Translator) Carries(req *chat.Request) bool {
	return req.Stream && req.Endpoint == chat.Completions && (tr.editor.genuine || tr.target.CarryStreams) &&
		!tr.editor.quirks.rewritesAnswers() && (tr.editor.genuine || !tr.asks(req, "n", "1")) && !tr.asks(req, "logprobs", "false")
}

// asks reports whether a request, or the deployment for it, has a member of another
// value than this one, which is what it means to say nothing.
func (tr *Translator) asks(req *chat.Request, name, nothing string) bool {
	value, ok := req.Body.Get(name)
	for i := 0; !ok && i < len(tr.target.Defaults); i++ {
		if p := &tr.target.Defaults[i]; p.Name == name {
			value, ok = p.Value, true
		}
	}
	return ok && value.Kind() != 'n' && string(value) != nothing
}

// Decoder relays the answer and reads its usage.
func (tr *Translator) Decoder(req *chat.Request, head upstream.Head) chat.Decoder {
	return newDecoder(req, head, tr.editor.quirks)
}

// ClientFields are the header fields of a client that OpenAI-format servers get as
// they are: its library chooses beta features by them.
var ClientFields = []string{"openai-beta"}

// WithAccept returns the header list with the accept field of the request.
func WithAccept(header upstream.Header, req *chat.Request) upstream.Header {
	accept := "application/json"
	switch {
	case req.Stream:
		accept = "text/event-stream"
	case req.Endpoint == chat.Speech:
		accept = "*/*"
	}
	out := make(upstream.Header, len(header), len(header)+1)
	copy(out, header)
	out.Set("accept", accept)
	return out
}
