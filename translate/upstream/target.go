package upstream

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// Target is one deployment as a provider's translator sees it. It is built once
// when the configuration is loaded and never changed.
type Target struct {
	Provider string // the provider's name in the model config: "openai", "anthropic", …
	Model    string // the provider's own name of the model, or of the Azure deployment
	// BaseURL is the configured or default api_base without a trailing slash:
	// "https://api.openai.com/v1". It has no user info, query or fragment.
	BaseURL string
	// CustomBase says that BaseURL was configured, so that quirks of the
	// provider's own servers need not hold there.
	CustomBase bool

	APIKey       secret.Text // zero: the deployment has no key and none is sent
	AzureADToken secret.Text // Microsoft Entra token, instead of APIKey
	APIVersion   string      // Azure's api-version
	BaseModel    string      // model_info.base_model: what an Azure deployment really is
	Organization string      // OpenAI-Organization
	// Redactor knows the secrets of the whole configuration; nil: those of this
	// deployment alone are known.
	Redactor *secret.Redactor
	Headers  []ExtraHeader

	// Defaults are request parameters of the deployment (temperature, …): they
	// hold where the client's request does not have the parameter.
	Defaults []Param

	CarryStreams    bool     // its streams need no look: see translate.Bound.Carries
	DropParams      bool     // drop parameters the provider lacks instead of refusing them
	DropAlso        []string // additional_drop_params
	AllowAlso       []string // allowed_openai_params: pass although the provider is said to lack them
	HideStreamUsage bool     // never ask for usage in streams that the client did not ask it for
}

// Base reads the BaseURL.
func (t *Target) Base() (*url.URL, error) {
	base, err := url.Parse(t.BaseURL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("api_base %q is not a URL with a host", t.BaseURL)
	}
	return base, nil
}

// Param is one top-level member of a request body: a name and its JSON value.
type Param struct {
	Name  string
	Value jsontext.Value
}

// ExtraHeader is a configured header (headers, extra_headers). Its value may be
// a credential.
type ExtraHeader struct {
	Name  string
	Value secret.Text
}

// Secrets returns the value, unless the header holds no credential by its name.
func (h ExtraHeader) Secrets() []secret.Text {
	switch strings.ToLower(h.Name) {
	case "accept", "accept-language", "anthropic-beta", "anthropic-version", "content-type", "http-referer", "openai-beta", "referer",
		"user-agent", "x-title":
		return nil
	}
	return []secret.Text{h.Value}
}

// Field is one HTTP header field; the name is in lower case.
type Field struct{ Name, Value string }

// Header is a short list of HTTP header fields.
type Header []Field

// Get returns the first value of the named field (lower case), or "".
func (h Header) Get(name string) string {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value
		}
	}
	return ""
}

// Set replaces the first field of that name (lower case) or adds one.
func (h *Header) Set(name, value string) {
	for i := range *h {
		if (*h)[i].Name == name {
			(*h)[i].Value = value
			return
		}
	}
	*h = append(*h, Field{name, value})
}

// SetExtra sets configured headers, which win over what is there.
func (h *Header) SetExtra(list []ExtraHeader) {
	for _, extra := range list {
		h.Set(strings.ToLower(extra.Name), extra.Value.Reveal())
	}
}

// Call is one HTTP request to a provider. Its scheme and host are those of the
// Target's BaseURL.
type Call struct {
	Method string
	Path   string // with the query; starts with "/"
	Header Header // what the provider gets, credentials included: never print it
	// Takes names the fields of the client's own request that the provider gets
	// too, where the client sent them and Header has none of that name.
	Takes []string
	// Joins names those that are comma-separated lists of words: the client's (see
	// [Header.Words]) join those that Header has.
	Joins []string
	// Body is the whole body, or the beginning of a large one that goes on in Tail.
	Body []byte
	// Tail is the rest of a large body, in pieces. Some are parts of the client's
	// text, which is not copied: none may be changed.
	Tail [][]byte
}

// HeaderWith is the Header with what the provider takes of the client's own.
func (c *Call) HeaderWith(client Header) Header {
	header := slices.Clip(c.Header)
	for _, name := range c.Takes {
		if value := client.Get(name); value != "" && header.Get(name) == "" {
			header = append(header, Field{name, value})
		}
	}
	for _, name := range c.Joins {
		if words := client.Words(name); len(words) > 0 {
			header = slices.Clone(header)
			header.AddWords(name, words...)
		}
	}
	return header
}

// Text is the whole body in one piece; what sends it takes the pieces.
func (c *Call) Text() []byte {
	if len(c.Tail) == 0 {
		return c.Body
	}
	return slices.Concat(append([][]byte{c.Body}, c.Tail...)...)
}

// Size is the length of the whole body, in bytes.
func (c *Call) Size() int {
	n := len(c.Body)
	for _, piece := range c.Tail {
		n += len(piece)
	}
	return n
}

// Format shows the call without its headers and body, whatever the verb.
func (c Call) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, c.Method, " ", c.Path) }

// Head is the status and header of a provider's answer.
type Head struct {
	Status int
	Header Header
}
