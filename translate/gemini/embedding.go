package gemini

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// embeddings is the answer of batchEmbedContents.
type embeddings struct {
	Embeddings []vector       `json:"embeddings"`
	Usage      *usage         `json:"usageMetadata"` // only newer models tell
	Error      jsontext.Value `json:"error"`
}

type vector struct {
	Values []float64 `json:"values"`
}

func (tr *Translator) readEmbeddings(body []byte) (chat.Embedded, *upstream.Error) {
	var e embeddings
	err := upstream.Unmarshal(body, &e)
	switch {
	case err == nil && isFailure(e.Error):
		return chat.Embedded{}, streamed(body)
	case err != nil || !slices.ContainsFunc(e.Embeddings, func(v vector) bool { return len(v.Values) > 0 }):
		return chat.Embedded{}, chat.Unreadable()
	}
	out := chat.Embedded{Model: tr.target.Model, Vectors: make([][]float64, len(e.Embeddings))}
	for i := range e.Embeddings {
		out.Vectors[i] = e.Embeddings[i].Values
	}
	if e.Usage != nil {
		out.Usage, out.HasUsage = chat.Usage{Prompt: e.Usage.Prompt, Total: e.Usage.Prompt}, true
	}
	return out, nil
}
