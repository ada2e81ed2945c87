package trace

import "github.com/isthmus-proxy/isthmus/translate/chat"

// Operation is gen_ai.operation.name of OpenTelemetry's GenAI conventions for an
// endpoint, as spans and metrics have it; "" when it calls no model.
func Operation(e chat.Endpoint) string {
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
