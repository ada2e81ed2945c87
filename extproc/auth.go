package extproc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
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

// maxCaller bounds a caller's name, in bytes.
const maxCaller = 128

// tenancy says how callers are told apart.
type tenancy struct {
	header string // that names the caller; "": they are not told apart
	hidden bool   // what it holds is a key
}

func newTenancy(header string) tenancy { return tenancy{header, isCredentialHeader(header)} }

// caller names who asks, for limits, the cache, logs and records. Those whom the
// header does not name are one caller together: leaving it out must not lift a limit.
// A key is never a name, but its hash is. A name that is too long ends in one, so that
// no two callers of the same beginning share a cache.
func (t tenancy) caller(header upstream.Header) string {
	if t.header == "" {
		return sharedCaller
	}
	name := header.Get(t.header)
	switch {
	case name == "":
		return unnamedCaller
	case t.hidden:
		return "key-" + digestOf(name)
	case name == unnamedCaller, name == sharedCaller, name[0] == '\\', isDigested(name):
		name = `\` + name // a caller's own name, not the word for those who have none, nor a longer one's short form
	}
	if len(name) > maxCaller {
		sum := digestOf(name)
		name = strings.ToValidUTF8(name[:maxCaller-1-len(sum)], "") + "~" + sum // between two characters
	}
	return name
}

// isDigested reports whether a name ends as those do that were too long.
func isDigested(name string) bool {
	at := len(name) - 2*digestSize - 1
	return at >= 0 && name[at] == '~'
}

// check refuses a request that names its caller twice, with different names: where
// a mesh adds its name to the client's, it is not known which is true. The error is
// an *upstream.Error.
func (t tenancy) check(header upstream.Header) error {
	if t.header == "" {
		return nil
	}
	first := header.Get(t.header)
	for i := range header {
		if header[i].Name == t.header && header[i].Value != first {
			return upstream.BadRequest("", "the header "+t.header+" is there several times, with different values: who calls must be said once")
		}
	}
	if t.hidden {
		return nil
	}
	return upstream.CheckLabel(t.header, first)
}

const (
	sharedCaller  = "*" // all callers, where they are not told apart
	unnamedCaller = "-" // who has no name
)

// DescribeCaller is how people are told of a caller's name, as limits have it.
func DescribeCaller(caller string) string {
	switch caller {
	case sharedCaller:
		return "everybody"
	case unnamedCaller:
		return "without a name"
	}
	return caller
}

// digestSize is how much of a digest is kept, in bytes.
const digestSize = 16

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:digestSize])
}

// isCredentialHeader lists the headers that prove who asks.
func isCredentialHeader(name string) bool {
	switch name {
	case "authorization", "proxy-authorization", "cookie",
		"x-litellm-api-key", "api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key":
		return true
	}
	return false
}
