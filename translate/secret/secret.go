package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what every printed form of a Text shows.
const hidden = "[secret]"

// Text is a value that must never be printed: an API key, a password, a signing
// key. Every way Go prints or marshals a value (all fmt verbs, slog,
// encoding/json, yaml) shows "[secret]" instead; [Text.Reveal] is the only way
// to the value, so that a search for Reveal finds each place where one leaves
// the process.
//
// The zero Text is "no secret". A Text is safe to copy and to share.
type Text struct {
	// value is a pointer because fmt prints unexported fields of other structs
	// without asking their methods: it then shows an address, not the secret.
	value *string
}

// New wraps value; an empty value is no secret.
func New(value string) Text {
	if value == "" {
		return Text{}
	}
	return Text{&value}
}

// Reveal returns the value itself.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether there is no secret.
func (t Text) IsZero() bool { return t.value == nil }

// String hides the value; an absent secret prints as the empty string.
func (t Text) String() string {
	if t.IsZero() {
		return ""
	}
	return hidden
}

// Format hides the value from every fmt verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalText hides the value from encoding/json and every other encoder that
// knows encoding.TextMarshaler.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalYAML hides the value from yaml.v3.
func (t Text) MarshalYAML() (any, error) { return t.String(), nil }

// LogValue hides the value from log/slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }
