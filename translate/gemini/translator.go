package gemini

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Translator speaks generateContent for one deployment. It is safe for
// concurrent use.
type Translator struct {
	target   *upstream.Target
	model    traits
	resource string // "models/…", as the body of an embedding names it
	path     string // of the model, up to the colon before the method
	header   upstream.Header
}

// New returns the Translator of an AI Studio deployment. Its base URL has the
// API version in it, as in "https://generativelanguage.googleapis.com/v1beta".
func New(t *upstream.Target) (*Translator, error) {
	base, err := t.Base()
	if err != nil {
		return nil, err
	}
	if t.Model == "" {
		return nil, fmt.Errorf("gemini needs a model: gemini/<model>")
	}
	tr := &Translator{target: t, model: traitsOf(t.Model), resource: t.Model}
	if t.BaseModel != "" {
		tr.model = traitsOf(t.BaseModel)
	}
	collection, name, ok := strings.Cut(t.Model, "/")
	if !ok || collection != "models" && collection != "tunedModels" {
		collection, name = "models", t.Model
		tr.resource = "models/" + t.Model
	}
	segment, err := upstream.PathSegment(name)
	if err != nil {
		return nil, err
	}
	tr.path = strings.TrimRight(base.EscapedPath(), "/")
	if tr.path == "" && base.Hostname() == "generativelanguage.googleapis.com" {
		tr.path = "/v1beta"
	}
	tr.path += "/" + collection + "/" + segment
	tr.header.Set("content-type", "application/json")
	if !t.APIKey.IsZero() {
		tr.header.Set("x-goog-api-key", t.APIKey.Reveal())
	}
	tr.header.SetExtra(t.Headers)
	return tr, nil
}

// Supports reports whether the API has the endpoint. Legacy completions are
// answered by the chat model.
func (tr *Translator) Supports(e chat.Endpoint) bool {
	return e == chat.Completions || e == chat.TextCompletions || e == chat.Embeddings
}

// Request writes the call for one attempt; the error is an *upstream.Error.
func (tr *Translator) Request(req *chat.Request) (*upstream.Call, error) {
	call := &upstream.Call{Method: http.MethodPost, Header: slices.Clone(tr.header)}
	var err error
	switch {
	case req.Endpoint == chat.Embeddings:
		call.Path = tr.path + ":batchEmbedContents"
		call.Body, err = tr.embed(req)
	case req.Stream:
		// Without alt=sse the stream is one JSON array.
		call.Path = tr.path + ":streamGenerateContent?alt=sse"
		call.Body, err = tr.generate(req)
	default:
		call.Path = tr.path + ":generateContent"
		call.Body, err = tr.generate(req)
	}
	if err != nil {
		return nil, err
	}
	return call, nil
}
