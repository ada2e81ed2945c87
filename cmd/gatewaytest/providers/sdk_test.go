package providers

import (
	"fmt"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// The tests here run real clients, unchanged but for the base URL, through a real
// Envoy to strict providers. A script in testdata/sdk makes its checks one by
// one and says on each line of its output how one went.

// sdkConfig is a model list with a model at each provider.
func sdkConfig(t *testing.T) string {
	t.Helper()
	openai := newStrictProvider(t, openAIFormat{key: "key-openai"})
	azure := newStrictProvider(t, openAIFormat{key: "key-azure", azure: true})
	anthropic := newStrictProvider(t, anthropicFormat{key: "key-anthropic"})
	gemini := newStrictProvider(t, geminiFormat{key: "key-gemini"})
	ollama := newStrictProvider(t, ollamaFormat{key: "key-ollama"})
	list := "model_list:\n"
	add := func(name, model, key, base string) {
		list += fmt.Sprintf("- model_name: %s\n  litellm_params: {model: %q, api_key: %s, api_base: %q}\n", name, model, key, base)
	}
	add("openai", "openai/gpt-4o", "key-openai", openai.Base())
	add("azure", "azure/prod", "key-azure", azure.URL)
	add("anthropic", "anthropic/claude-sonnet-4-5", "key-anthropic", anthropic.URL)
	add("gemini", "gemini/gemini-3-pro-preview", "key-gemini", gemini.URL+"/v1beta")
	add("gemini-2.5", "gemini/gemini-2.5-flash", "key-gemini", gemini.URL+"/v1beta")
	add("ollama", "ollama/qwen3:8b", "key-ollama", ollama.URL)
	add("embed-openai", "openai/text-embedding-3-small", "key-openai", openai.Base())
	add("embed-azure", "azure/prod", "key-azure", azure.URL)
	add("embed-gemini", "gemini/gemini-embedding-001", "key-gemini", gemini.URL+"/v1beta")
	add("embed-ollama", "ollama/nomic-embed-text", "key-ollama", ollama.URL)
	return list + "router_settings: {num_retries: 0}\ngeneral_settings: {master_key: " + gatewaytest.MasterKey + "}\n"
}

func TestSDK(t *testing.T) { runSDKs(t, gatewaytest.Pinned) }

// runSDKs runs the scripts of all libraries, of these versions.
func runSDKs(t *testing.T, l gatewaytest.Libraries) {
	t.Helper()
	s := gatewaytest.Start(t, sdkConfig(t))
	for name, script := range map[string]string{
		"python, the essentials": "sdk/essentials.py",
		"python, the errors":     "sdk/errors.py",
		"python, an agent":       "sdk/agent.py",
		"python, langchain":      "sdk/with_langchain.py",
	} {
		t.Run(name, func(t *testing.T) { s.RunPython(t, l, script) })
	}
	t.Run("node", func(t *testing.T) { s.RunNode(t, l, "sdk/essentials.mjs") })
}
