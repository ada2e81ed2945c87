package translate

import (
	"bytes"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
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
	return b.discreet(b.Translator.Failure(head, body))
}

// Decoder reads the answer to a call when its status is 2xx, see [Translator]. An
// error inside of it is as discreet as one that has a status of its own.
func (b *Bound) Decoder(req *chat.Request, head upstream.Head) Decoder {
	d := b.Translator.Decoder(req, head)
	if len(b.secrets) == 0 {
		return d
	}
	return &discreetDecoder{d, b}
}

// discreet returns e without the deployment's secrets.
func (b *Bound) discreet(e *upstream.Error) *upstream.Error {
	clean := *e
	for _, s := range b.secrets {
		clean.Message = strings.ReplaceAll(clean.Message, s.Reveal(), s.String())
	}
	return &clean
}

// discreetDecoder takes the deployment's secrets out of an answer that failed.
// An answer that did not is not looked at.
type discreetDecoder struct {
	Decoder
	bound *Bound
}

// Feed reads the next bytes of the answer. An error event goes out whole, with
// the message spelt as this project spells strings.
func (d *discreetDecoder) Feed(chunk []byte, last bool) []byte {
	out := d.Decoder.Feed(chunk, last)
	if !d.Failed() {
		return out
	}
	for _, s := range d.bound.secrets {
		quoted := jsonedit.AppendString(nil, s.Reveal())
		if spelt := quoted[1 : len(quoted)-1]; bytes.Contains(out, spelt) {
			out = bytes.ReplaceAll(out, spelt, []byte(s.String()))
		}
	}
	return out
}

// Result is what is known of the answer so far.
func (d *discreetDecoder) Result() chat.Result {
	r := d.Decoder.Result()
	if r.Failure != nil {
		r.Failure = d.bound.discreet(r.Failure)
	}
	return r
}
