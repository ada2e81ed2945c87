package config

import (
	"strconv"
	"strings"
)

// maxShown bounds, in bytes, a value that a message shows.
const maxShown = 64

// shown is the value for an error message. One of a variable, and one that may be a
// key, is not shown.
func (v value) shown() string {
	if name, ok := v.envName(); ok {
		return "the value of $" + name
	}
	switch text := v.node.Value; {
	case secretPlace(v.key) || looksLikeKey(text):
		return "a text that is not shown, for it may be secret"
	case len(text) > maxShown:
		return "a text of " + strconv.Itoa(len(text)) + " bytes"
	default:
		return strconv.Quote(text)
	}
}

// secretPlace reports whether secrets stand at a key, or in it.
func secretPlace(key string) bool {
	for part := range strings.SplitSeq(strings.ToLower(key), ".") {
		part, _, _ = strings.Cut(part, "[")
		switch {
		case part == "key", part == "token", part == "headers", part == "extra_headers",
			part == "environment_variables", part == "credential_values":
			return true
		case strings.HasSuffix(part, "_key"), strings.HasSuffix(part, "_token") && !strings.HasSuffix(part, "_per_token"),
			strings.HasSuffix(part, "_headers"), strings.Contains(part, "password"), strings.Contains(part, "secret"):
			return true
		}
	}
	return false
}

// looksLikeKey reports whether a text is more likely a key than anything else that
// stands in a model config, by its length alone: those that have a known beginning
// are hidden in every message.
func looksLikeKey(text string) bool {
	letter := func(c rune) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
	random := len(text) >= 20 && strings.ContainsAny(text, "0123456789") && strings.ContainsFunc(text, letter)
	return random && !strings.ContainsAny(text, " :.@")
}
