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
