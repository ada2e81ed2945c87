package gatewaytest

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Canary makes a secret that can be found wherever it is written: one of its own at
// each call. The name says whose it is.
func Canary(name string) string { return "canary-" + name + "-" + rand.Text() }

// ExpectOnly checks that a canary is in these places, and in no other. places are
// texts by the name of where each was found.
func ExpectOnly(t *testing.T, places map[string]string, secret string, allowed ...string) {
	t.Helper()
	name := secret[:strings.LastIndexByte(secret, '-')]
	for _, place := range allowed {
		if !strings.Contains(places[place], secret) {
			t.Errorf("%s is not in %s: this test sees nothing", name, place)
		}
	}
	for place, text := range places {
		if slices.Contains(allowed, place) {
			continue
		}
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s is in %s: …%s…", name, place, text[max(i-80, 0):min(i+len(secret)+20, len(text))])
		}
	}
}

// HeaderText is a header as text, sorted.
func HeaderText(h http.Header) string {
	var lines []string
	for name, values := range h {
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	slices.Sort(lines)
	return "\n" + strings.Join(lines, "\n") + "\n\n"
}
