package gemini

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// status is google.rpc.Status as JSON.
// https://cloud.google.com/apis/design/errors#error_model
type status struct {
	Error struct {
		Code    int         `json:"code"`
		Status  string      `json:"status"`
		Details []errorInfo `json:"details"`
	} `json:"error"`
}

// errorInfo is what is read here of a detail: ErrorInfo's reason.
type errorInfo struct {
	Reason string `json:"reason"`
}

// Failure reads an error answer. A bad key is 401 for OpenAI's clients, although
// Google says 400.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return failure(head, body)
}

func failure(head upstream.Head, body []byte) *upstream.Error {
	e := upstream.ReadError(head, body)
	s := readStatus(body)
	if _, err := strconv.Atoi(e.Code); err == nil {
		e.Code = s.Error.Status // the number only repeats the status line
	}
	for _, d := range s.Error.Details {
		if d.Reason == "API_KEY_INVALID" {
			e.Status, e.Type, e.Code = http.StatusUnauthorized, upstream.TypeOf(http.StatusUnauthorized), "invalid_api_key"
		}
	}
	e.Normalise()
	return e
}

// readStatus reads the error object, which may stand inside an array.
func readStatus(body []byte) status {
	var s status
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		var list []status
		if upstream.Unmarshal(body, &list) == nil && len(list) > 0 {
			s = list[0]
		}
		return s
	}
	if upstream.Unmarshal(body, &s) != nil {
		return status{} // not Google's: a proxy in between
	}
	return s
}

// streamed is the failure that an error event inside a 200 stream stands for.
func streamed(body []byte) *upstream.Error {
	code := readStatus(body).Error.Code
	if code < 400 || code > 599 {
		code = http.StatusBadGateway
	}
	return failure(upstream.Head{Status: code}, body)
}
