package upstream

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// This file is what an error body looks like: the one that clients get
// ([Error.AppendJSON]), and those of providers ([ReadError]).

// JSON returns the body an OpenAI client expects: {"error":{…}}.
func (e *Error) JSON() []byte { return e.AppendJSON(nil) }

// AppendJSON appends the body an OpenAI client expects: {"error":{…}}.
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = appendText(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = appendText(dst, e.Type)
	dst = append(dst, `,"param":`...)
	dst = appendOrNull(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendOrNull(dst, e.Code)
	return append(dst, "}}"...)
}

func appendText(dst []byte, s string) []byte {
	out, _ := jsontext.AppendQuote(dst, s) // invalid UTF-8 is written as U+FFFD
	return out
}

func appendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendText(dst, s)
}

// Bounds of what is taken from a provider's error, in bytes.
const (
	maxMessage = 16 << 10
	maxMember  = 256 // type, code and param, which are words
	maxField   = 256 // the value of a header field
)

// ReadError makes the Error of a provider's answer, whichever of the known
// shapes its body has: OpenAI's and Google's {"error":{…}} (also inside an
// array), Anthropic's {"type":"error","error":{…}}, Ollama's and xAI's
// {"error":"text"}, Azure API Management's {"statusCode":…,"message":…}, old vLLM's
// flat object, or plain text and HTML from a proxy. Kind, and with it the status,
// are decided here. A body that is compressed, though we ask for none, says nothing.
func ReadError(head Head, body []byte) *Error {
	if coding := head.Header.Get("content-encoding"); coding != "" && coding != "identity" {
		body = nil
	}
	r := errorReader{Error: &Error{Status: head.Status, Header: clientFields(head.Header)}}
	if !r.readJSON(body) {
		r.Message = plainMessage(head, body)
	}
	return r.finish(head)
}

// ReadEmbedded is ReadError for an error that stands where an answer should, behind
// status 200: in a stream, or as a whole body. Its status is what its code or type
// says it would have been; 502 when they do not.
func ReadEmbedded(body []byte) *Error {
	r := errorReader{Error: &Error{}}
	if !r.readJSON(body) {
		r.Message = plainMessage(Head{}, body)
	}
	r.Status = r.details.embeddedStatus()
	return r.finish(Head{Status: r.Status})
}

// errorReader is an Error while it is read, with what is only needed to judge it.
type errorReader struct {
	*Error
	details errorDetails
}

// finish fills what the body left open, bounds it and decides the kind.
func (r *errorReader) finish(head Head) *Error {
	e := r.Error
	if e.Message == "" {
		e.Message = statusText(head.Status)
	}
	e.readWait(head.Header, time.Now())
	e.Message = clipWords(e.Message, maxMessage)
	e.Type, e.Code, e.Param = clipWords(e.Type, maxMember), clipWords(e.Code, maxMember), clipWords(e.Param, maxMember)
	if e.Type == "" {
		e.Type = TypeOf(e.Status)
	}
	r.details.text = strings.ToLower(unquoted(e.Message[:RuneStart(e.Message, maxSearched)]))
	e.judge(&r.details)
	return e
}

type errorBody struct {
	Error   jsontext.Value `json:"error"`
	Message string         `json:"message"`
	Type    jsontext.Value `json:"type"`
	Code    jsontext.Value `json:"code"`
	Param   jsontext.Value `json:"param"`
	Detail  jsontext.Value `json:"detail"`  // FastAPI servers
	Details jsontext.Value `json:"details"` // Google's
	Status  jsontext.Value `json:"status"`  // Google's, in words

	InnerError jsontext.Value `json:"innererror"` // Azure's
	Metadata   jsontext.Value `json:"metadata"`   // OpenRouter's
}

func (r *errorReader) readJSON(body []byte) bool {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		var list []jsontext.Value
		if Unmarshal(body, &list) != nil || len(list) == 0 {
			return false
		}
		body = list[0]
	}
	var outer errorBody
	if len(body) == 0 || body[0] != '{' || Unmarshal(body, &outer) != nil {
		return false
	}
	switch {
	case outer.Error.Kind() == '"':
		r.Message = scalar(outer.Error)
		r.details.add(scalar(outer.Code))
		return true
	case outer.Error.Kind() == '{':
		var inner errorBody
		if Unmarshal(outer.Error, &inner) != nil {
			return false
		}
		outer = inner
	case outer.Message == "" && outer.Detail == nil:
		return false
	}
	r.take(&outer)
	return true
}

// take reads the members of an error object.
func (r *errorReader) take(b *errorBody) {
	r.Message, r.Type, r.Code, r.Param = b.Message, scalar(b.Type), scalar(b.Code), scalar(b.Param)
	if r.Message == "" && b.Detail != nil {
		r.Message = detailText(b.Detail)
	}
	if r.Type == "error" {
		r.Type = ""
	}
	r.details.add(r.Code, r.Type, scalar(b.Status))
	var reasons []string
	r.RetryAfter, reasons = readDetails(b.Details)
	r.details.add(reasons...)
	r.takeInner(b)
}

// takeInner reads what Azure and OpenRouter say inside an error of why it is one.
func (r *errorReader) takeInner(b *errorBody) {
	var azure struct {
		Code jsontext.Value `json:"code"`
	}
	if b.InnerError.Kind() == '{' && Unmarshal(b.InnerError, &azure) == nil {
		r.details.add(scalar(azure.Code))
	}
	var router struct {
		Raw     jsontext.Value `json:"raw"`           // what the provider behind it answered
		Flagged jsontext.Value `json:"flagged_input"` // the part of the prompt that was refused
	}
	if b.Metadata.Kind() != '{' || Unmarshal(b.Metadata, &router) != nil {
		return
	}
	r.details.flagged = router.Flagged.Kind() == '"'
	raw := scalar(router.Raw)
	if raw == "" {
		return
	}
	behind := errorReader{Error: &Error{}}
	if !behind.readRaw(raw) {
		return
	}
	r.Message = behind.Message
	r.details.add(behind.details.words...)
}

// readRaw reads the error of a provider behind another: its message is the one that
// helps. One that has another inside is read no deeper.
func (r *errorReader) readRaw(raw string) bool {
	var b struct {
		Error struct {
			Message string         `json:"message"`
			Type    jsontext.Value `json:"type"`
			Code    jsontext.Value `json:"code"`
		} `json:"error"`
	}
	if Unmarshal([]byte(raw), &b) != nil || b.Error.Message == "" {
		return false
	}
	r.Message = b.Error.Message
	r.details.add(scalar(b.Error.Code), scalar(b.Error.Type))
	return true
}

// scalar returns the text of a JSON string or number, and "" for anything else.
func scalar(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		var s string
		_ = Unmarshal(v, &s)
		return s
	case '0':
		return string(v)
	}
	return ""
}

func detailText(v jsontext.Value) string {
	if s := scalar(v); s != "" {
		return s
	}
	return string(v)
}

func plainMessage(head Head, body []byte) string {
	body = bytes.TrimSpace(body)
	text := string(body[:min(len(body), maxMessage+1)]) // one more than is kept: finish sees that it goes on, and cuts between words
	if text == "" || strings.HasPrefix(text, "<") || strings.Contains(head.Header.Get("content-type"), "html") {
		return "" // a proxy's HTML page says nothing that helps
	}
	return text
}

func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return "the provider answered " + strconv.Itoa(status) + " " + text
	}
	return "the provider answered " + strconv.Itoa(status)
}

// clientFields picks the fields of a provider's error that a client acts on.
func clientFields(h Header) Header {
	var out Header
	for _, f := range h {
		switch f.Name {
		case "retry-after", "retry-after-ms":
			if !isPause(f.Value) {
				continue
			}
		case "x-should-retry":
			if f.Value != "true" && f.Value != "false" {
				continue
			}
		default:
			if !strings.HasPrefix(f.Name, "x-ratelimit-") || !f.plain() {
				continue
			}
		}
		out = append(out, f)
	}
	return out
}

// isPause reports whether a text says how long to wait: a number, or a date.
func isPause(text string) bool {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n >= 0 && n <= maxPause
	}
	_, err := http.ParseTime(text)
	return err == nil
}

// maxPause bounds a pause that clients are told of, in seconds or milliseconds:
// what is longer is nonsense.
const maxPause = 1e9

// plain reports whether a field's value is a short text of printable ASCII, as all
// are that clients act on.
func (f Field) plain() bool {
	return len(f.Value) <= maxField && !strings.ContainsFunc(f.Value, func(r rune) bool { return r < ' ' || r > '~' })
}
