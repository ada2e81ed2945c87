package ollama

import (
	"net/http"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Failure reads an error answer, {"error":"text"}.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return failure(head, body)
}

func failure(head upstream.Head, body []byte) *upstream.Error {
	e := upstream.ReadError(head, body)
	switch {
	case e.Code != "":
	case e.Status == http.StatusNotFound && strings.Contains(e.Message, "not found"):
		e.Code = "model_not_found"
	case strings.Contains(e.Message, "exceeds the context length"):
		e.Code = upstream.CodeContextLength
	}
	e.Normalise()
	return e
}
