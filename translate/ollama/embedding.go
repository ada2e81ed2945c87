package ollama

import (
	"cmp"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/ndjson"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// embeddingDecoder reads the answer of /api/embed.
type embeddingDecoder struct {
	model  string
	base64 bool
	body   []byte
	ended  bool
	result chat.Result
}

// wantsBase64 reports whether the client, or else the deployment, asks for
// vectors in base64, which Ollama does not have.
func (tr *Translator) wantsBase64(req *chat.Request) bool {
	for _, p := range req.Params(tr.target.Defaults) {
		if p.Name == "encoding_format" {
			return string(p.Value) == `"base64"`
		}
	}
	return false
}

type embeddings struct {
	Model      string      `json:"model"`
	Embeddings [][]float64 `json:"embeddings"`
	Prompt     *int64      `json:"prompt_eval_count"`
	Error      string      `json:"error"`
}

// Feed collects the body and answers when it is whole.
func (d *embeddingDecoder) Feed(chunk []byte, last bool) []byte {
	if d.ended {
		return nil
	}
	if len(d.body)+len(chunk) > ndjson.MaxLine {
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
	err := json.Unmarshal(d.body, &e, lenient)
	switch {
	case err == nil && e.Error != "":
		d.result.Failure = failure(upstream.Head{Status: 500}, d.body)
		return nil
	case err != nil || len(e.Embeddings) == 0:
		d.result.Failure = unreadable()
		return nil
	}
	d.result.Model = cmp.Or(e.Model, d.model)
	if e.Prompt != nil {
		d.result.Usage, d.result.HasUsage = chat.Usage{Prompt: *e.Prompt, Total: *e.Prompt}, true
	}
	return chat.AppendEmbeddings(nil, d.result.Model, e.Embeddings, d.result.Usage, d.base64)
}

// Failed reports whether the answer has failed.
func (d *embeddingDecoder) Failed() bool { return d.result.Failure != nil }

// Result is what is known of the answer so far.
func (d *embeddingDecoder) Result() chat.Result { return d.result }
