package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/translate/secret"
)

func TestNoPrintedFormShowsTheValue(t *testing.T) {
	const value = "sk-canary-4711"
	type holder struct {
		Key  secret.Text
		Ptr  *secret.Text
		List []secret.Text
		held secret.Text
	}
	text := secret.New(value)
	h := holder{Key: text, Ptr: &text, List: []secret.Text{text}, held: text}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", text)
		fmt.Fprintf(&out, verb+"\n", h)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", text, "holder", h)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", text, "holder", h)
	if err := json.NewEncoder(&out).Encode(h); err != nil {
		t.Fatal(err)
	}
	if err := yaml.NewEncoder(&out).Encode(h); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), value) || strings.Contains(out.String(), fmt.Sprintf("%x", value)) {
		t.Errorf("a printed form shows the value:\n%s", out.String())
	}
	if text.Reveal() != value {
		t.Errorf("Reveal = %q, want the value", text.Reveal())
	}
}
