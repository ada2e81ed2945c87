package translate

import (
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

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
