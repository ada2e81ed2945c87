package extproc

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// maxCaller bounds a caller's name, in bytes.
const maxCaller = 128

// tenancy says how callers are told apart.
type tenancy struct {
	header string // that names the caller; "": they are not told apart
	hidden bool   // what it holds is a key
}

func newTenancy(header string) tenancy { return tenancy{header, holdsKey(header)} }

// caller names who asks, for limits, the cache, logs and records. Those whom the
// header does not name are one caller together: leaving it out must not lift a limit.
// A key is never a name, but its hash is. A name that is too long ends in one, so that
// nobody shares a cache with another of the same beginning.
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
	case len(name) > maxCaller:
		sum := digestOf(name)
		return name[:maxCaller-1-len(sum)] + "~" + sum
	}
	return name
}

const (
	sharedCaller  = "*" // everybody, where callers are not told apart
	unnamedCaller = "-" // who has no name
)

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// holdsKey lists the headers that prove who asks.
func holdsKey(name string) bool {
	switch name {
	case "authorization", "proxy-authorization", "cookie", "x-litellm-api-key", "api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key":
		return true
	}
	return false
}
