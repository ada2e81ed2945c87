package callback

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Wish is what one request says about the logging of its text.
type Wish int

// What a request may wish.
const (
	Inherit Wish = iota // as the configuration says
	Hide                // redact
	Show                // do not redact: followed only where the administrator allows it
)

// ReadWish reads the headers by which a client asks for more or less redaction;
// of the body's member turn_off_message_logging tells [Input.Wish]. The wish to
// show is the stronger one, then the body's, as in LiteLLM.
func ReadWish(h upstream.Header, body Wish) Wish {
	on := func(name string) bool { return h.Get(name) == "true" }
	switch {
	case on("litellm-disable-message-redaction"), on("x-litellm-disable-message-redaction"):
		return Show
	case body != Inherit:
		return body
	case on("x-litellm-enable-message-redaction"), on("litellm-enable-message-redaction"):
		return Hide
	}
	return Inherit
}

// Policy says what records may hold. The zero Policy shows text and cuts it at
// the default length.
type Policy struct {
	Redact    bool // turn_off_message_logging
	AllowShow bool // a request may wish its text shown although Redact is set; default false
	MaxText   int  // bytes each of messages, response and parameters; default 256 KiB
}

// Apply prepares a record for the sinks: it redacts, cuts and copies the
// content. It must be called once, before the record is handed over.
func (p Policy) Apply(r *Record, wish Wish) {
	limit := p.limit()
	if p.hides(wish) {
		r.redact()
	}
	if r.Status == Failure && r.Response == nil {
		r.Response = jsontext.Value("{}")
	}
	r.Messages = Shorten(r.Messages, limit)
	r.Response = Shorten(r.Response, limit)
	r.ModelParameters = Shorten(r.ModelParameters, limit)
	r.Metadata.Requester = Shorten(r.Metadata.Requester, min(limit, 16<<10))
	r.ErrorStr = Optional(cutPlain(string(r.ErrorStr)))
	if r.ErrorInformation != nil {
		r.ErrorInformation.Message = cutPlain(r.ErrorInformation.Message)
	}
	r.size = r.measure()
}

// ApplyEvent does for the text of an event what Apply does for a record's. It
// must be called once, before the event is handed over.
func (p Policy) ApplyEvent(e *Event, wish Wish) {
	if p.hides(wish) {
		if e.Messages != nil {
			e.Messages = jsontext.Value(redactedMessages)
		}
		e.Chunk = redactValue(e.Chunk)
	}
	e.Messages = Shorten(e.Messages, p.limit())
	e.Chunk = Shorten(e.Chunk, p.limit())
	e.Error = cutPlain(e.Error)
}

func (p Policy) limit() int {
	if p.MaxText <= 0 {
		return 256 << 10
	}
	return p.MaxText
}

func (p Policy) hides(wish Wish) bool {
	switch {
	case wish == Hide:
		return true
	case wish == Show && p.AllowShow:
		return false
	}
	return p.Redact
}

// redact removes what people wrote and models answered. Errors that are the
// client's own may quote the prompt and lose their text, too.
func (r *Record) redact() {
	if r.Messages != nil {
		r.Messages = jsontext.Value(redactedMessages)
	}
	r.Response = redactValue(r.Response)
	r.ModelParameters = redactValue(r.ModelParameters)
	e := r.ErrorInformation
	if e == nil || e.Code != strconv.Itoa(http.StatusBadRequest) && e.Code != strconv.Itoa(http.StatusUnprocessableEntity) {
		return
	}
	hidden := *e
	hidden.Message = redacted
	r.ErrorInformation, r.ErrorStr = &hidden, redacted
}

// redactValue replaces every text that is not known to be isIdentifierField: what
// providers will add tomorrow is hidden too. Lists of numbers (embeddings,
// tokens) are emptied.
func redactValue(v jsontext.Value) jsontext.Value {
	if len(v) == 0 {
		return nil
	}
	w := rewriter{dec: jsontext.NewDecoder(bytes.NewBuffer(v)), numbers: true, change: func(name string, s jsontext.Value) jsontext.Value {
		if isIdentifierField(name) {
			return s
		}
		return jsontext.Value(`"` + redacted + `"`)
	}}
	w.enc = jsontext.NewEncoder(&w.out)
	if w.value("") != nil {
		return jsontext.Value(`"` + redacted + `"`)
	}
	return slices.Clone(bytes.TrimSpace(w.out.Bytes()))
}

// isIdentifierField reports whether a member's text is a name from a fixed set or an
// id, which no person wrote: it is not redacted.
func isIdentifierField(name string) bool {
	switch name {
	case "id", "object", "model", "role", "type", "finish_reason", "native_finish_reason", "stop_reason", "status",
		"system_fingerprint", "service_tier",
		"reasoning_effort", "effort", "verbosity", "encoding_format", "tool_choice", "truncation", "modality", "modalities", "format", "voice",
		"size",
		"quality", "style", "response_format", "detail", "user", "include":
		return true
	}
	return false
}

// maxError bounds an error's text, in bytes.
const maxError = 8 << 10

func cutPlain(s string) string {
	return upstream.Clip(s, maxError)
}
