package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Translator speaks for one deployment. It holds no state of a request and is
// safe for concurrent use.
type Translator interface {
	// Supports reports whether the deployment's provider has the endpoint.
	Supports(chat.Endpoint) bool
	// Request writes the call for one attempt. An error is an *upstream.Error
	// for the client: the request asks for what the provider cannot do.
	Request(*chat.Request) (*upstream.Call, error)
	// Decoder reads the answer to that call when its status is 2xx.
	Decoder(*chat.Request, upstream.Head) Decoder
	// Failure reads the answer when its status is not 2xx.
	Failure(upstream.Head, []byte) *upstream.Error
}

// Decoder reads one provider answer as it arrives: see [chat.Decoder].
type Decoder = chat.Decoder

// Bound is the Translator of one deployment with what the façade knows of it.
type Bound struct {
	Translator
	// Relays says that blocking answers go to the client as they come. Otherwise
	// they are rewritten whole, and their status may still change at the end.
	Relays  bool
	secrets []secret.Text // that the deployment sends
}

// Bind returns the Translator of a deployment. The error says what the
// deployment lacks.
func Bind(t *upstream.Target) (*Bound, error) {
	entry, ok := provider(t.Provider)
	if !ok {
		return nil, fmt.Errorf("no translator for provider %q", t.Provider)
	}
	translator, err := entry.bind(t)
	if err != nil {
		return nil, err
	}
	return &Bound{Translator: translator, Relays: entry.relays, secrets: secretsOf(t)}, nil
}

// minSecret is the length from which a header's value may be a secret, in bytes:
// what is shorter would be cut out of words.
const minSecret = 8

// secretsOf returns what a deployment sends and nobody else may see, the longest
// form of each first.
func secretsOf(t *upstream.Target) []secret.Text {
	all := []secret.Text{t.APIKey, t.AzureADToken}
	for _, h := range t.Headers {
		all = append(all, h.Value)
		if scheme, token, ok := strings.Cut(h.Value.Reveal(), " "); ok && (scheme == "Bearer" || scheme == "Basic") {
			all = append(all, secret.New(token))
		}
	}
	return slices.DeleteFunc(all, func(s secret.Text) bool { return len(s.Reveal()) < minSecret })
}

// Failure reads the answer when its status is not 2xx. Some servers quote the
// request that they refuse: the deployment's secrets go no further than here,
// neither to the client nor into a log.
func (b *Bound) Failure(head upstream.Head, body []byte) *upstream.Error {
	e := b.Translator.Failure(head, body)
	for _, s := range b.secrets {
		e.Message = strings.ReplaceAll(e.Message, s.Reveal(), s.String())
	}
	return e
}
