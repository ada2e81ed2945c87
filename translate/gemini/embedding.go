package gemini

import (
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// embeddings is the answer of batchEmbedContents.
type embeddings struct {
	Embeddings []vector `json:"embeddings"`
	Usage      *usage   `json:"usageMetadata"` // only newer models tell
}

type vector struct {
	Values []float64 `json:"values"`
}

func (tr *Translator) readEmbeddings(body []byte) (chat.Embedded, *upstream.Error) {
	var e embeddings
	if err := upstream.Unmarshal(body, &e); err != nil || len(e.Embeddings) == 0 {
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
