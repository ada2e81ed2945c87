package config

import (
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// providers is the table of provider prefixes by name. It stands in translate,
// beside what each provider's name means there.
func providers() map[string]upstream.Provider {
	table := make(map[string]upstream.Provider)
	for _, p := range translate.Providers() {
		table[p.Name] = p
	}
	return table
}

// canonicalProvider maps other spellings of a prefix to the table's.
func canonicalProvider(prefix string) string {
	for _, p := range translate.Providers() {
		if slices.Contains(p.Aliases, prefix) {
			return p.Name
		}
	}
	return prefix
}

// guessProvider names the provider of a model that has no prefix, for the names
// that can be only one's; "" otherwise.
func guessProvider(model string) string {
	for _, p := range translate.Providers() {
		if slices.ContainsFunc(p.Models, func(start string) bool { return strings.HasPrefix(model, start) }) {
			return p.Name
		}
	}
	return ""
}

// cloud names the service behind a prefix whose requests are signed, or log in with
// more than a key, so that no api_base makes it an OpenAI-compatible server; "" for any
// other prefix.
func cloud(prefix string) string {
	switch prefix {
	case "bedrock", "bedrock_converse", "sagemaker", "sagemaker_chat":
		return "AWS (" + prefix + ")"
	case "vertex_ai", "vertex_ai_beta":
		return "Google Vertex AI"
	case "watsonx", "watsonx_text":
		return "IBM watsonx"
	case "oci":
		return "Oracle Cloud"
	case "sap", "gigachat", "github_copilot", "chatgpt":
		return prefix
	}
	return ""
}
