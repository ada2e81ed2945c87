package chat

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Embedding is an embeddings request for a provider with a format of its own.
type Embedding struct {
	Input      []string
	Dimensions int  // 0 is absent
	Base64     bool // encoding_format: the vectors go back as base64
	Params     []upstream.Param
}

// Embedding decodes the request. Token arrays are refused: only the model that
// they were made for can read them. The error is an *upstream.Error.
func (r *Request) Embedding(defaults []upstream.Param) (*Embedding, error) {
	e := &Embedding{}
	params, err := r.Params(defaults)
	if err != nil {
		return nil, err
	}
	for _, p := range params {
		if err := e.take(p); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *Embedding) take(p upstream.Param) error {
	switch p.Name {
	case "model":
		return nil
	case "input":
		if p.Value.Kind() == '"' {
			e.Input = make([]string, 1)
			return decodeParam(p, &e.Input[0], "a string or a list of strings")
		}
		return decodeParam(p, &e.Input, "a string or a list of strings: this model takes no token arrays")
	case "dimensions":
		return decodeParam(p, &e.Dimensions, "an integer")
	case "encoding_format":
		var format string
		if err := decodeParam(p, &format, "float or base64"); err != nil {
			return err
		}
		if format != "float" && format != "base64" {
			return upstream.BadRequest("encoding_format", "'encoding_format' must be float or base64")
		}
		e.Base64 = format == "base64"
		return nil
	}
	e.Params = append(e.Params, p)
	return nil
}

// append appends the answer of the embeddings endpoint. In base64 a vector is
// little-endian float32, as OpenAI sends it.
func (e *Embedded) append(dst []byte, asBase64 bool) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, vector := range e.Vectors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"object":"embedding","index":`...)
		dst = strconv.AppendInt(dst, int64(i), 10)
		dst = append(dst, `,"embedding":`...)
		if asBase64 {
			dst = appendBase64(dst, vector)
		} else {
			dst = appendFloats(dst, vector)
		}
		dst = append(dst, '}')
	}
	dst = append(dst, `],"model":`...)
	dst = appendString(dst, e.Model)
	dst = append(dst, `,"usage":{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, e.Usage.Prompt, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, e.Usage.Total, 10)
	return append(dst, "}}"...)
}

func appendFloats(dst []byte, vector []float64) []byte {
	text, err := json.Marshal(vector)
	if err != nil { // NaN or infinity, which JSON cannot say
		return append(dst, "[]"...)
	}
	return append(dst, text...)
}

func appendBase64(dst []byte, vector []float64) []byte {
	raw := make([]byte, 0, 4*len(vector))
	for _, f := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(f)))
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"')
}
