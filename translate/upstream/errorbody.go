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
// array), Anthropic's {"type":"error","error":{…}}, Ollama's {"error":"text"},
// Azure API Management's {"statusCode":…,"message":…}, old vLLM's flat object,
// or plain text and HTML from a proxy. The status stays the provider's.
// A body that is compressed, though we ask for none, says nothing.
func ReadError(head Head, body []byte) *Error {
	e := &Error{Status: head.Status, Header: clientFields(head.Header)}
	if coding := head.Header.Get("content-encoding"); coding != "" && coding != "identity" {
		body = nil
	}
	if !e.readJSON(body) {
		e.Message = plainMessage(head, body)
	}
	if e.Message == "" {
		e.Message = statusText(head.Status)
	}
	e.readWait(head.Header, time.Now())
	e.Normalise()
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
}

func (e *Error) readJSON(body []byte) bool {
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
		e.Message = scalar(outer.Error)
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
	e.Message, e.Type, e.Code, e.Param = outer.Message, scalar(outer.Type), scalar(outer.Code), scalar(outer.Param)
	if e.Message == "" && outer.Detail != nil {
		e.Message = detailText(outer.Detail)
	}
	if e.Type == "error" {
		e.Type = ""
	}
	e.RetryAfter = retryInfo(outer.Details)
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
	text := strings.TrimSpace(string(body[:min(len(body), maxMessage)]))
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
