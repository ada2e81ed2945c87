package extproc

import "github.com/isthmus-proxy/isthmus/translate/chat"

// operation is an endpoint in the words of OpenTelemetry's GenAI conventions; ""
// when it calls no model.
func operation(e chat.Endpoint) string {
	switch e {
	case chat.Completions, chat.Responses:
		return "chat"
	case chat.TextCompletions:
		return "text_completion"
	case chat.Embeddings:
		return "embeddings"
	case chat.Images:
		return "image_generation"
	case chat.Speech:
		return "speech"
	case chat.Moderations, chat.Rerank:
		return string(e)
	}
	return ""
}

// system is a provider's name in the words of the same conventions.
func system(provider string) string {
	switch provider {
	case "azure":
		return "azure.ai.openai"
	case "bedrock":
		return "aws.bedrock"
	case "gemini":
		return "gcp.gemini"
	case "vertex_ai":
		return "gcp.vertex_ai"
	case "mistral":
		return "mistral_ai"
	case "xai":
		return "x_ai"
	}
	return provider
}
