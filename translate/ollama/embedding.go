package ollama

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// embeddings is the answer of /api/embed.
type embeddings struct {
	Model      string         `json:"model"`
	Embeddings [][]float64    `json:"embeddings"`
	Prompt     *int64         `json:"prompt_eval_count"`
	Error      jsontext.Value `json:"error"`
}

func (tr *Translator) readEmbeddings(body []byte) (chat.Embedded, *upstream.Error) {
	var e embeddings
	err := upstream.Unmarshal(body, &e)
	switch {
	case err == nil && (e.Error.Kind() == '"' || e.Error.Kind() == '{'):
		return chat.Embedded{}, failure(upstream.Head{Status: http.StatusInternalServerError}, body)
	case err != nil || !slices.ContainsFunc(e.Embeddings, func(v []float64) bool { return len(v) > 0 }):
		return chat.Embedded{}, chat.Unreadable()
	}
	out := chat.Embedded{Model: cmp.Or(e.Model, tr.target.Model), Vectors: e.Embeddings}
	if e.Prompt != nil {
		out.Usage, out.HasUsage = chat.Usage{Prompt: *e.Prompt, Total: *e.Prompt}, true
	}
	return out, nil
}
