package gemini

import (
	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/sse"
)

// embeddingDecoder reads the answer of batchEmbedContents.
type embeddingDecoder struct {
	model  string
	base64 bool
	body   []byte
	ended  bool
	result chat.Result
}

// wantsBase64 reports whether the client, or else the deployment, asks for
// vectors in base64, which Google does not have.
func (tr *Translator) wantsBase64(req *chat.Request) bool {
	for _, p := range req.Params(tr.target.Defaults) {
		if p.Name == "encoding_format" {
			return text(p.Value) == "base64"
		}
	}
	return false
}

type embeddings struct {
	Embeddings []vector `json:"embeddings"`
	Usage      *usage   `json:"usageMetadata"` // only newer models tell
}

type vector struct {
	Values []float64 `json:"values"`
}

// Feed collects the body and answers when it is whole.
func (d *embeddingDecoder) Feed(chunk []byte, last bool) []byte {
	if d.ended {
		return nil
	}
	if len(d.body)+len(chunk) > sse.MaxEvent {
		d.ended, d.body, d.result.Failure = true, nil, unreadable()
		return nil
	}
	d.body = append(d.body, chunk...)
	if !last {
		return nil
	}
	d.ended = true
	return d.answer()
}

func (d *embeddingDecoder) answer() []byte {
	var e embeddings
	if err := json.Unmarshal(d.body, &e, lenient); err != nil || len(e.Embeddings) == 0 {
		d.result.Failure = unreadable()
		return nil
	}
	d.result.Model = d.model
	if e.Usage != nil {
		d.result.Usage = chat.Usage{Prompt: e.Usage.Prompt, Total: e.Usage.Prompt}
		d.result.HasUsage = true
	}
	vectors := make([][]float64, len(e.Embeddings))
	for i := range e.Embeddings {
		vectors[i] = e.Embeddings[i].Values
	}
	return chat.AppendEmbeddings(nil, d.model, vectors, d.result.Usage, d.base64)
}

// Failed reports whether the answer has failed.
func (d *embeddingDecoder) Failed() bool { return d.result.Failure != nil }

// Result is what is known of the answer so far.
func (d *embeddingDecoder) Result() chat.Result { return d.result }
