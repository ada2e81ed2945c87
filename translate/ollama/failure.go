package ollama

import (
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Failure reads an error answer, {"error":"text"}. A model that is not there gets
// OpenAI's code for it.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return failure(head, body)
}

func failure(head upstream.Head, body []byte) *upstream.Error {
	e := upstream.ReadError(head, body)
	if e.Code == "" && e.Kind == upstream.KindModelNotFound && strings.Contains(e.Message, "not found") {
		e.Code = "model_not_found"
	}
	return e
}
