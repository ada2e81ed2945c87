package anthropic

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// apiVersion is the one version the API has had since its first year.
// https://platform.claude.com/docs/en/api/versioning
const apiVersion = "2023-06-01"

// betaHeader lists beta features.
// https://platform.claude.com/docs/en/api/beta-headers
const betaHeader = "anthropic-beta"

// clientLists are the header fields whose words a client may add to.
var clientLists = []string{betaHeader}

// Translator speaks the Messages API for one deployment. It is safe for
// concurrent use.
type Translator struct {
	target *upstream.Target
	model  traits
	path   string
	header upstream.Header
}

// New returns the Translator of an Anthropic deployment. The base URL may end
// before, in or after "/v1/messages".
func New(t *upstream.Target) (*Translator, error) {
	base, err := t.Base()
	if err != nil {
		return nil, err
	}
	if t.Model == "" {
		return nil, fmt.Errorf("anthropic needs a model: anthropic/<model>")
	}
	tr := &Translator{target: t, model: traitsOf(t.Model), path: pathOf(base)}
	if t.BaseModel != "" {
		tr.model = traitsOf(t.BaseModel)
	}
	tr.header.Set("content-type", "application/json")
	tr.header.Set("anthropic-version", apiVersion)
	tr.authenticate()
	for _, h := range t.Headers {
		name, value := strings.ToLower(h.Name), h.Value.Reveal()
		if name == betaHeader {
			tr.header.AddWords(betaHeader, strings.Split(value, ",")...)
			continue
		}
		tr.header.Set(name, value)
	}
	return tr, nil
}

func pathOf(base *url.URL) string {
	path := strings.TrimRight(base.EscapedPath(), "/")
	switch {
	case strings.HasSuffix(path, "/v1/messages"):
		return path
	case strings.HasSuffix(path, "/v1"):
		return path + "/messages"
	}
	return path + "/v1/messages"
}

// authenticate sets the header of the key. The token of a Claude subscription is
// no API key and goes as a bearer token.
func (tr *Translator) authenticate() {
	key := tr.target.APIKey
	switch {
	case key.IsZero():
	case strings.HasPrefix(key.Reveal(), "sk-ant-oat"):
		tr.header.Set("authorization", "Bearer "+key.Reveal())
		tr.header.AddWords(betaHeader, "oauth-2025-04-20")
	default:
		tr.header.Set("x-api-key", key.Reveal())
	}
}

// Supports reports whether the API has the endpoint. Legacy completions are
// answered by the chat model.
func (tr *Translator) Supports(e chat.Endpoint) bool {
	return e == chat.Completions || e == chat.TextCompletions
}

// Request writes the call for one attempt; the error is an *upstream.Error.
func (tr *Translator) Request(req *chat.Request) (*upstream.Call, error) {
	if !tr.Supports(req.Endpoint) {
		return nil, upstream.BadRequest("model", tr.target.Provider+" has no "+string(req.Endpoint)+" endpoint")
	}
	b := &body{tr: tr, out: make([]byte, 0, len(req.Body.Source())+512)}
	if err := b.write(req); err != nil {
		return nil, err
	}
	call := &upstream.Call{Method: http.MethodPost, Path: tr.path, Header: slices.Clone(tr.header), Joins: clientLists, Body: b.out}
	if len(b.betas) > 0 {
		call.Header.AddWords(betaHeader, b.betas...)
	}
	return call, nil
}
