package translate

import (
	"fmt"
	"sync"

	"github.com/isthmus-proxy/isthmus/translate/anthropic"
	"github.com/isthmus-proxy/isthmus/translate/azure"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/gemini"
	"github.com/isthmus-proxy/isthmus/translate/ollama"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Providers lists every provider: those with a format or an address of their own,
// which have a folder each, and the family that takes OpenAI's format, which is the
// table of translate/openai/family.go. A name stands in one of the two only, with
// all that depends on it.
func Providers() []upstream.Provider {
	var out []upstream.Provider
	for _, p := range own() {
		out = append(out, p.Provider)
	}
	for _, server := range openai.Family() {
		out = append(out, server.Provider)
	}
	return out
}

// System is a provider's name in OpenTelemetry's GenAI conventions. It allocates
// nothing.
func System(provider string) string {
	if name, ok := systems()[provider]; ok {
		return name
	}
	return provider
}

// systems are the names of [System] that differ. The map must not be changed.
var systems = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, p := range Providers() {
		if p.System != "" {
			out[p.Name] = p.System
		}
	}
	return out
})

// provider is a provider that has a folder.
type provider struct {
	upstream.Provider
	bind func(*upstream.Target) (*Bound, error)
	// takes reports whether requests may have a default of the deployment: see [Takes].
	// Nil means that its translator is asked.
	takes func(*upstream.Target, upstream.Param) bool
}

// own lists the providers that have a folder. The slice must not be changed.
func own() []provider { return providers }

var providers = []provider{
	{
		Provider: upstream.Provider{
			Name: "anthropic", Base: "https://api.anthropic.com",
			KeyVars: []string{"ANTHROPIC_API_KEY"}, BaseVars: []string{"ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"},
			Models: []string{"claude-"}, Example: "claude-haiku-4-5",
		},
		bind: func(t *upstream.Target) (*Bound, error) { return rewriting(anthropic.New(t)) },
	},
	{
		Provider: upstream.Provider{
			Name: "azure", Aliases: []string{"azure_ai", "azure_text"}, OwnAddress: true,
			KeyVars:  []string{"AZURE_API_KEY", "AZURE_OPENAI_API_KEY"},
			BaseVars: []string{"AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"},
			System:   "azure.ai.openai",
		},
		bind:  func(t *upstream.Target) (*Bound, error) { return relaying(azure.New(t)) },
		takes: openai.Takes,
	},
	{
		Provider: upstream.Provider{
			Name: "gemini", Base: "https://generativelanguage.googleapis.com/v1beta",
			KeyVars: []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}, BaseVars: []string{"GEMINI_API_BASE"},
			Example: "gemini-2.5-flash", System: "gcp.gemini",
		},
		bind: func(t *upstream.Target) (*Bound, error) { return rewriting(gemini.New(t)) },
	},
	{
		Provider: upstream.Provider{
			Name: "ollama", Aliases: []string{"ollama_chat"}, Base: "http://localhost:11434",
			KeyVars: []string{"OLLAMA_API_KEY"}, BaseVars: []string{"OLLAMA_API_BASE_URL", "OLLAMA_API_BASE"}, Keyless: true,
		},
		bind:  func(t *upstream.Target) (*Bound, error) { return rewriting(ollama.New(t)) },
		takes: func(_ *upstream.Target, p upstream.Param) bool { return ollama.Knows(p.Name) },
	},
}

// bind makes the Translator of a deployment.
func bind(t *upstream.Target) (*Bound, error) {
	for _, p := range own() {
		if p.Name == t.Provider {
			return p.bind(t)
		}
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
