package secret

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// Redactor hides secrets in text that others wrote: those that it knows, in every
// way they may be spelt in, and what looks like a key. It is for the texts of errors, not
// for what users and models write. It is safe
// for concurrent use.
type Redactor struct {
	known  *strings.Replacer
	shapes [256][]shape // by the first byte, in lower case
}

// NewRedactor returns the Redactor that knows these secrets. It is made once, when
// they are loaded.
func NewRedactor(known ...Text) *Redactor {
	var spelt []string
	for _, s := range known {
		spelt = append(spelt, spellings(s.Reveal())...)
	}
	// Where two begin at the same place the longer one is meant.
	slices.SortFunc(spelt, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, s := range slices.Compact(spelt) {
		pairs = append(pairs, s, hidden)
	}
	r := &Redactor{known: strings.NewReplacer(pairs...)}
	for _, s := range shapes() {
		r.shapes[s.start[0]] = append(r.shapes[s.start[0]], s)
	}
	return r
}

// Known is a text without the secrets that the Redactor knows.
func (r *Redactor) Known(text string) string { return r.known.Replace(text) }

// Redact is a text without secrets.
func (r *Redactor) Redact(text string) string { return r.hideKeys(r.known.Replace(text)) }

// canBeSecret reports whether a value can be a secret at all: what is shorter would
// be cut out of words. Keys of local servers ("none", "dummy") are no secrets.
func canBeSecret(value string) bool {
	return len(value) >= 8 || len(value) >= 6 && strings.ContainsAny(value, "0123456789")
}

// spellings are the forms in which servers repeat a secret: as it is, in URLs, in
// JSON; and the parts that are secret by themselves.
func spellings(value string) []string {
	if !canBeSecret(value) {
		return nil
	}
	out := []string{value, url.QueryEscape(value), url.PathEscape(value)}
	json := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
	out = append(out, json, strings.ReplaceAll(json, "/", `\/`),
		strings.NewReplacer("&", `\u0026`, "<", `\u003c`, ">", `\u003e`).Replace(json))
	if scheme, token, ok := strings.Cut(value, " "); ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Basic")) {
		out = append(out, spellings(token)...)
		if pair, err := base64.StdEncoding.DecodeString(token); err == nil && strings.EqualFold(scheme, "Basic") {
			_, password, _ := strings.Cut(string(pair), ":")
			out = append(out, spellings(password)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
