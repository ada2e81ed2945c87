package chat

import (
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Embedded is a provider's embeddings answer as it was read.
type Embedded struct {
	Model    string
	Vectors  [][]float64
	Usage    Usage
	HasUsage bool
}

// NewEmbeddingDecoder returns the Decoder of an embeddings answer in a provider's
// own format. defaults are the deployment's; read gets the whole body, and its
// error is what the client gets.
func NewEmbeddingDecoder(req *Request, defaults []upstream.Param, read func(body []byte) (Embedded, *upstream.Error)) Decoder {
	return &embeddingDecoder{read: read, base64: req.wantsBase64(defaults)}
}

// wantsBase64 reports whether the client, or else the deployment, asks for
// vectors in base64, which few providers have.
func (r *Request) wantsBase64(defaults []upstream.Param) bool {
	params, err := r.Params(defaults)
	if err != nil {
		return false // the request was refused for it
	}
	for _, p := range params {
		if p.Name == "encoding_format" {
			return string(p.Value) == `"base64"`
		}
	}
	return false
}

type embeddingDecoder struct {
	read   func(body []byte) (Embedded, *upstream.Error)
	base64 bool
	body   []byte
	ended  bool
	result Result
}

// Feed collects the body and answers when it is whole.
func (d *embeddingDecoder) Feed(chunk []byte, last bool) []byte {
	if d.ended {
		return nil
	}
	if len(d.body)+len(chunk) > sse.MaxEvent {
		d.ended, d.body, d.result.Failure = true, nil, Unreadable()
		return nil
	}
	d.body = append(d.body, chunk...)
	if !last {
		return nil
	}
	d.ended = true
	e, failure := d.read(d.body)
	if failure != nil {
		d.result.Failure = failure
		return nil
	}
	e.Usage = e.Usage.bounded()
	d.result = Result{Model: e.Model, Usage: e.Usage, HasUsage: e.HasUsage && e.Usage.Prompt > 0}
	return e.append(nil, d.base64)
}

// Abort makes an answer that has not ended the failure e.
func (d *embeddingDecoder) Abort(e *upstream.Error) []byte {
	if !d.ended {
		d.ended, d.result.Failure = true, e
	}
	return nil
}

func (d *embeddingDecoder) Failed() bool { return d.result.Failure != nil }

func (d *embeddingDecoder) Started() bool { return d.ended && !d.Failed() }

func (d *embeddingDecoder) Complete() bool { return d.Started() }

func (d *embeddingDecoder) Result() Result { return d.result }
