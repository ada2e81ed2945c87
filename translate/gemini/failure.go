package gemini

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// status is google.rpc.Status as JSON.
// https://cloud.google.com/apis/design/errors#error_model
type status struct {
	Error struct {
		Status  string      `json:"status"`
		Details []errorInfo `json:"details"`
	} `json:"error"`
}

// errorInfo is what is read here of a detail: ErrorInfo's reason.
type errorInfo struct {
	Reason string `json:"reason"`
}

// Failure reads an error answer. A bad key has OpenAI's code for it.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return named(upstream.ReadError(head, body), body)
}

// named gives an error the name of Google's status as its code, where it would be the
// number that only repeats the status line.
func named(e *upstream.Error, body []byte) *upstream.Error {
	switch e.Kind {
	case upstream.KindContextWindow, upstream.KindContentPolicy:
		return e // they have OpenAI's code
	}
	s := readStatus(body)
	if _, err := strconv.Atoi(e.Code); err == nil || e.Code == "" {
		e.Code = s.Error.Status
	}
	for _, d := range s.Error.Details {
		if d.Reason == "API_KEY_INVALID" {
			e.Code = "invalid_api_key"
		}
	}
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

// isFailure reports whether an answer's error member says anything.
func isFailure(e jsontext.Value) bool { return e.Kind() == '{' || e.Kind() == '"' }

// streamed is the failure that an error event inside a 200 stream stands for.
func streamed(body []byte) *upstream.Error { return named(upstream.ReadEmbedded(body), body) }
