package translate

import (
	"fmt"

	"github.com/isthmus-proxy/isthmus/translate/anthropic"
	"github.com/isthmus-proxy/isthmus/translate/azure"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/gemini"
	"github.com/isthmus-proxy/isthmus/translate/ollama"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Providers lists every provider: those with a format or an address of their own,
// which have a folder each, and the family that speaks OpenAI's format, which is
// the table of translate/openai/family.go. A name stands in one of the two only.
func Providers() []upstream.Provider {
	out := own()
	for _, server := range openai.Family() {
		out = append(out, server.Provider)
	}
	return out
}

// own lists the providers that have a folder.
func own() []upstream.Provider {
	return []upstream.Provider{
		{Name: "anthropic", Base: "https://api.anthropic.com", KeyVars: []string{"ANTHROPIC_API_KEY"}, BaseVars: []string{"ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"}},
		{Name: "azure", KeyVars: []string{"AZURE_API_KEY", "AZURE_OPENAI_API_KEY"}, BaseVars: []string{"AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"}, OwnAddress: true},
		{Name: "gemini", Base: "https://generativelanguage.googleapis.com/v1beta", KeyVars: []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}, BaseVars: []string{"GEMINI_API_BASE"}},
		{Name: "ollama", Base: "http://localhost:11434", KeyVars: []string{"OLLAMA_API_KEY"}, BaseVars: []string{"OLLAMA_API_BASE_URL", "OLLAMA_API_BASE"}, Keyless: true},
	}
}

// bind is the one place that names every Translator.
func bind(t *upstream.Target) (*Bound, error) {
	switch t.Provider {
	case "anthropic":
		return rewriting(anthropic.New(t))
	case "azure":
		return relaying(azure.New(t))
	case "gemini":
		return rewriting(gemini.New(t))
	case "ollama":
		return rewriting(ollama.New(t))
	}
	for _, server := range openai.Family() {
		if server.Name == t.Provider {
			return relaying(openai.New(t))
		}
	}
	return nil, fmt.Errorf("no translator for provider %q", t.Provider)
}

// rewriting binds a Translator that writes every answer anew.
func rewriting[T Translator](tr T, err error) (*Bound, error) {
	if err != nil {
		return nil, err
	}
	never := func(*chat.Request) bool { return false }
	return &Bound{Translator: tr, relays: never, carries: never}, nil
}

// relayer is a Translator whose provider answers in OpenAI's format.
type relayer interface {
	Translator
	Relays(*chat.Request) bool
	Carries(*chat.Request) bool
}

func relaying[T relayer](tr T, err error) (*Bound, error) {
	if err != nil {
		return nil, err
	}
	return &Bound{Translator: tr, relays: tr.Relays, carries: tr.Carries}, nil
}
