package ollama

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Translator speaks Ollama's API for one deployment. It is safe for concurrent
// use.
type Translator struct {
	target *upstream.Target
	model  jsontext.Value
	levels bool   // the model thinks at levels, others do or do not
	path   string // of the server, without a trailing slash
	header upstream.Header
}

// New returns the Translator of an Ollama deployment. Its base URL is the
// server's; one that ends in an API path is tolerated.
func New(t *upstream.Target) (*Translator, error) {
	base, err := t.Base()
	if err != nil {
		return nil, err
	}
	if t.Model == "" {
		return nil, fmt.Errorf("ollama needs a model: ollama/<model>")
	}
	tr := &Translator{
		target: t,
		model:  jsonedit.AppendString(nil, t.Model),
		levels: strings.Contains(strings.ToLower(t.Model), "gpt-oss"),
		path:   strings.TrimRight(base.EscapedPath(), "/"),
	}
	for _, suffix := range [...]string{"/api/chat", "/api/generate", "/api/embed", "/api"} {
		tr.path = strings.TrimSuffix(tr.path, suffix)
	}
	tr.header.Set("content-type", "application/json")
	if !t.APIKey.IsZero() {
		tr.header.Set("authorization", "Bearer "+t.APIKey.Reveal())
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
	if req.Endpoint == chat.Embeddings {
		call.Path = tr.path + "/api/embed"
		call.Body, err = tr.embed(req)
	} else {
		call.Path = tr.path + "/api/chat"
		call.Body, err = tr.chat(req)
	}
	if err != nil {
		return nil, err
	}
	return call, nil
}
