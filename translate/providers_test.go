package translate_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// bind binds a deployment of a provider at its usual address.
func bind(t *testing.T, p *upstream.Provider, model string, drop bool) *translate.Bound {
	t.Helper()
	base := p.Base
	if base == "" {
		base = "https://models.example/v1"
	}
	b, err := translate.Bind(&upstream.Target{Provider: p.Name, Model: model, BaseURL: base, DropParams: drop, HideStreamUsage: true})
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	return b
}

func TestEveryProviderOfTheTableHasATranslator(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range translate.Providers() {
		if seen[p.Name] {
			t.Errorf("%s stands in the table twice", p.Name)
		}
		seen[p.Name] = true
		if b := bind(t, &p, "m", false); !b.Supports(chat.Completions) {
			t.Errorf("%s cannot chat", p.Name)
		}
		if !p.Keyless && len(p.KeyVars) == 0 {
			t.Errorf("%s has no variable for its key", p.Name)
		}
		if p.Base != "" && p.OwnAddress {
			t.Errorf("%s has an address that is not the user's own", p.Name)
		}
	}
}

func TestAnUnknownProviderIsAnError(t *testing.T) {
	_, err := translate.Bind(&upstream.Target{Provider: "opnai", BaseURL: "https://models.example"})
	if err == nil || !strings.Contains(err.Error(), `"opnai"`) {
		t.Errorf("got %v, want an error that names the provider", err)
	}
}

func TestOnlyOpenAIsFormatIsRelayed(t *testing.T) {
	for _, p := range translate.Providers() {
		relays := bind(t, &p, "m", false).Relays(&chat.Request{Endpoint: chat.Embeddings})
		own := p.Name == "anthropic" || p.Name == "gemini" || p.Name == "ollama"
		if relays == own {
			t.Errorf("%s relays embeddings: %v", p.Name, relays)
		}
	}
}

func TestAPrefixAndAModelNameBelongToOneProvider(t *testing.T) {
	prefixes, models := map[string]string{}, map[string]string{}
	for _, p := range translate.Providers() {
		for _, prefix := range append(p.Aliases, p.Name) {
			if other := prefixes[prefix]; other != "" {
				t.Errorf("%s is a prefix of %s and of %s", prefix, other, p.Name)
			}
			prefixes[prefix] = p.Name
		}
		for _, start := range p.Models {
			for known, other := range models {
				if strings.HasPrefix(start, known) || strings.HasPrefix(known, start) {
					t.Errorf("%s of %s and %s of %s begin alike", start, p.Name, known, other)
				}
			}
			models[start] = p.Name
		}
	}
}

func TestSystemIsTheNameOfOpenTelemetrysConventions(t *testing.T) {
	for provider, want := range map[string]string{
		"openai": "openai", "azure": "azure.ai.openai", "gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai", "unheard": "unheard",
	} {
		if got := translate.System(provider); got != want {
			t.Errorf("%s is %s, want %s", provider, got, want)
		}
	}
}
