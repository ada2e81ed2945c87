package openai

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Failure reads an error answer; OpenAI-format servers' members are kept.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return upstream.ReadError(head, body)
}

// failure is the error that stands in the place of an answer: some servers send
// theirs with status 200. nil: it is an answer, which may have a member of that
// name too (the Responses API's has).
func (d *relay) failure() *upstream.Error {
	switch kind, _ := d.scan.Get("object"); string(kind) {
	case `"error"`: // older vLLM servers' stands bare
		e := upstream.Error{Status: http.StatusBadGateway, Message: text(d.scan, "message")}
		e.Normalise()
		return &e
	case "":
	default:
		return nil
	}
	value, _ := d.scan.Get("error")
	if k := value.Kind(); k != '{' && k != '"' {
		return nil
	}
	body := append(append([]byte(`{"error":`), value...), '}')
	return upstream.ReadError(upstream.Head{Status: statusIn(value)}, body)
}

// statusIn is the HTTP status that an error object names as its code, as
// aggregators do; 502 when it names none.
func statusIn(object jsontext.Value) int {
	var e struct {
		Code jsontext.Value `json:"code"`
	}
	if json.Unmarshal(object, &e) == nil {
		if n, err := strconv.Atoi(strings.Trim(string(e.Code), `"`)); err == nil && n >= 400 && n < 600 {
			return n
		}
	}
	return http.StatusBadGateway
}

// errorEvent reads an error inside a stream and gives it the members OpenAI's
// clients expect; nil when the event is no error.
func (d *streamDecoder) errorEvent(data []byte) []byte {
	var head chunkHead
	if json.Unmarshal(data, &head) != nil || (head.Error == nil || head.Error.Kind() == 'n') && head.Object != "error" {
		return nil
	}
	e := upstream.ReadError(upstream.Head{Status: http.StatusInternalServerError}, data)
	d.result.Failure = e
	return e.JSON()
}

// failedResponse notes the failure that an event of the Responses API tells. The
// event stays as it is.
func (d *streamDecoder) failedResponse(data []byte) {
	var head struct {
		Type     string `json:"type"`
		Response struct {
			Error jsontext.Value `json:"error"`
		} `json:"response"`
	}
	if d.chunks || json.Unmarshal(data, &head) != nil {
		return
	}
	switch head.Type {
	case "error":
	case "response.failed":
		data = slices.Concat([]byte(`{"error":`), head.Response.Error, []byte("}"))
	default:
		return
	}
	d.result.Failure = upstream.ReadError(upstream.Head{Status: http.StatusInternalServerError}, data)
}
