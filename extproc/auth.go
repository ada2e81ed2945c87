package extproc

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// authenticator checks the gateway's own key. The zero value asks for none.
type authenticator struct {
	digest  [sha256.Size]byte
	enabled bool
}

func newAuthenticator(masterKey secret.Text) authenticator {
	if masterKey.IsZero() {
		return authenticator{}
	}
	return authenticator{digest: sha256.Sum256([]byte(masterKey.Reveal())), enabled: true}
}

// check returns nil for a request with the right key. Digests of equal length
// are compared in constant time, so that neither content nor length of the key
// shows in the time it takes.
func (a authenticator) check(header upstream.Header) *upstream.Error {
	if !a.enabled {
		return nil
	}
	key := clientKey(header)
	if key == "" {
		return unauthorized("You didn't provide an API key. Send the gateway's key as 'Authorization: Bearer KEY'.")
	}
	digest := sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(digest[:], a.digest[:]) != 1 {
		return unauthorized("Incorrect API key provided.")
	}
	return nil
}

// clientKey finds the key where the SDKs of OpenAI, Azure, Anthropic and Google
// put it.
func clientKey(header upstream.Header) string {
	if v := header.Get("x-litellm-api-key"); v != "" {
		return strings.TrimPrefix(v, "Bearer ")
	}
	if v := header.Get("authorization"); v != "" {
		scheme, key, ok := strings.Cut(v, " ")
		if ok && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(key)
		}
		return v
	}
	for _, name := range []string{"api-key", "x-api-key", "x-goog-api-key"} {
		if v := header.Get(name); v != "" {
			return v
		}
	}
	return ""
}

func unauthorized(message string) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusUnauthorized, Type: "invalid_request_error", Code: "invalid_api_key", Message: message,
	}
}
