package azure

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// DefaultAPIVersion is sent when the model config names none: the latest
// generally available one.
const DefaultAPIVersion = "2024-10-21"

// Translator speaks to one Azure OpenAI deployment. It is safe for concurrent
// use.
type Translator struct {
	prefix string // path up to the endpoint
	query  string // "?api-version=…" or ""
	header upstream.Header
	editor *openai.BodyEditor
}

// New returns the Translator of an Azure deployment. The target's Model is the
// name of the deployment in Azure.
func New(t *upstream.Target) (*Translator, error) {
	if t.BaseURL == "" {
		return nil, fmt.Errorf("azure needs api_base (or AZURE_API_BASE): https://<resource>.openai.azure.com")
	}
	base, err := t.Base()
	if err != nil {
		return nil, err
	}
	t = series(t)
	tr := &Translator{editor: openai.NewBodyEditor(t, true)}
	if err := tr.setPath(t, strings.TrimRight(base.EscapedPath(), "/")); err != nil {
		return nil, err
	}
	tr.header.Set("content-type", "application/json")
	switch {
	case !t.AzureADToken.IsZero():
		tr.header.Set("authorization", "Bearer "+t.AzureADToken.Reveal())
	case !t.APIKey.IsZero():
		tr.header.Set("api-key", t.APIKey.Reveal())
	}
	tr.header.SetExtra(t.Headers)
	return tr, nil
}

// series reads LiteLLM's way to say that a deployment is a reasoning model, whose
// name does not: azure/o_series/<deployment>, azure/gpt5_series/<deployment>.
func series(t *upstream.Target) *upstream.Target {
	prefix, deployment, _ := strings.Cut(t.Model, "/")
	named := *t
	switch prefix {
	case "o_series":
		named.Model, named.BaseModel = deployment, cmp.Or(t.BaseModel, "o3")
	case "gpt5_series":
		named.Model, named.BaseModel = deployment, cmp.Or(t.BaseModel, "gpt-5")
	default:
		return t
	}
	return &named
}

func (tr *Translator) setPath(t *upstream.Target, base string) error {
	version := t.APIVersion
	if v1 := strings.HasSuffix(base, "/openai/v1"); v1 || version == "v1" || version == "preview" && v1 {
		if !v1 {
			base = strings.TrimSuffix(base, "/openai") + "/openai/v1"
		}
		tr.prefix = base
		return nil
	}
	if version == "" {
		version = DefaultAPIVersion
	}
	deployment, err := upstream.PathSegment(t.Model)
	if err != nil {
		return err
	}
	base = strings.TrimSuffix(base, "/openai")
	tr.prefix = base + "/openai/deployments/" + deployment
	tr.query = "?api-version=" + url.QueryEscape(version)
	return nil
}

// Supports reports true for every endpoint: what a deployment does not have the
// service says itself.
func (tr *Translator) Supports(chat.Endpoint) bool { return true }

// Request edits the client's body for the deployment.
func (tr *Translator) Request(req *chat.Request) (*upstream.Call, error) {
	call := &upstream.Call{
		Method: "POST",
		Path:   tr.prefix + "/" + string(req.Endpoint) + tr.query,
		Header: openai.WithAccept(tr.header, req),
		Takes:  openai.ClientFields,
	}
	if err := tr.editor.Edit(req, call); err != nil {
		return nil, err
	}
	return call, nil
}

// Relays reports true: answers go to the client as they come.
func (tr *Translator) Relays(*chat.Request) bool { return true }

// Carries reports false: Azure's streams begin with an event that clients fail
// on.
func (tr *Translator) Carries(*chat.Request) bool { return false }

// Decoder relays the answer and reads its usage.
func (tr *Translator) Decoder(req *chat.Request, head upstream.Head) chat.Decoder {
	return openai.NewDecoder(req, head)
}

// Failure reads an error answer. Azure's type is often null and its code the
// status as text; the API gateway in front of it has a shape of its own.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return upstream.ReadError(head, body)
}
