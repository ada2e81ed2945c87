package upstream

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// OpenAI's error codes that clients act on, whatever provider said them.
const (
	CodeContextLength = "context_length_exceeded"
	CodeContentFilter = "content_filter"
)

// Error is a failure as an OpenAI client reads it: an HTTP status and the
// members of OpenAI's error object.
type Error struct {
	Status  int    // HTTP status for the client
	Type    string // "invalid_request_error", "rate_limit_error", "server_error", …
	Code    string // "" is null
	Param   string // the request member that is to blame; "" is null
	Message string
	Header  Header // retry-after and x-ratelimit-* fields that the client may use
}

func (e *Error) Error() string { return strconv.Itoa(e.Status) + " " + e.Type + ": " + e.Message }

// BadRequest is the Error for a request that no provider should see: status
// 400, the member to blame and what is wrong with it.
func BadRequest(param, message string) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Param: param, Message: message}
}

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

// TypeOf returns the error type that OpenAI's SDKs expect with a status.
func TypeOf(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case 529: // Anthropic: overloaded
		return "overloaded_error"
	}
	if status >= 400 && status < 500 {
		return "invalid_request_error"
	}
	return "server_error"
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
	e.Normalise()
	return e
}

// Normalise fills an absent type from the status and gives context-length and
// content-filter failures OpenAI's code for them.
func (e *Error) Normalise() {
	e.Message = clipWords(e.Message, maxMessage)
	e.Type, e.Code, e.Param = clipWords(e.Type, maxMember), clipWords(e.Code, maxMember), clipWords(e.Param, maxMember)
	if e.Type == "" {
		e.Type = TypeOf(e.Status)
	}
	switch {
	case e.Status != http.StatusBadRequest && e.Status != http.StatusRequestEntityTooLarge && e.Status != http.StatusUnprocessableEntity:
	case e.Code == CodeContextLength || ContextOverflow(e.Message):
		e.Code = CodeContextLength
	case e.Code == "content_policy_violation" || e.Code == CodeContentFilter || contentFiltered(e.Message):
		e.Code = CodeContentFilter
	}
}

type errorBody struct {
	Error   jsontext.Value `json:"error"`
	Message string         `json:"message"`
	Type    jsontext.Value `json:"type"`
	Code    jsontext.Value `json:"code"`
	Param   jsontext.Value `json:"param"`
	Detail  jsontext.Value `json:"detail"` // FastAPI servers
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

func (e *Error) readJSON(body []byte) bool {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		var list []jsontext.Value
		if json.Unmarshal(body, &list, lenient) != nil || len(list) == 0 {
			return false
		}
		body = list[0]
	}
	var outer errorBody
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &outer, lenient) != nil {
		return false
	}
	switch {
	case outer.Error.Kind() == '"':
		e.Message = scalar(outer.Error)
		return true
	case outer.Error.Kind() == '{':
		var inner errorBody
		if json.Unmarshal(outer.Error, &inner, lenient) != nil {
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
	return true
}

// scalar returns the text of a JSON string or number, and "" for anything else.
func scalar(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		var s string
		_ = json.Unmarshal(v, &s, lenient)
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

// ContextOverflow reports whether a provider's message says that the prompt is
// longer than the model's context. The phrases are those of OpenAI, Anthropic,
// Google, Mistral, vLLM, Ollama and llama.cpp.
func ContextOverflow(message string) bool {
	m := strings.ToLower(message)
	for _, phrase := range []string{
		"maximum context length", "prompt is too long", "exceed context limit", "exceeds the maximum number of tokens",
		"model's maximum context limit", "longer than the model's context length", "available context size",
		"maximum number of tokens allowed", "input is too long", "exceeds the context window", "exceeds maximum input length",
		"context length exceeded", "exceed_context_size", "too large for model with", "input length and `max_tokens` exceed",
	} {
		if strings.Contains(m, phrase) {
			return true
		}
	}
	return false
}

func contentFiltered(message string) bool {
	m := strings.ToLower(message)
	for _, phrase := range []string{
		"content management policy", "content_policy_violation", "content policy", "safety system", "responsibleaipolicyviolation",
		"output blocked by content filtering policy",
	} {
		if strings.Contains(m, phrase) {
			return true
		}
	}
	return false
}
