package cache

import (
	"slices"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// CallTypes says which endpoints are cached. The zero value is all that can be.
type CallTypes struct{ only []chat.Endpoint }

// ReadCallTypes reads supported_call_types, in LiteLLM's words. An empty list is
// all. unknown are the names that mean no endpoint that can be cached here, for
// a warning when the configuration is loaded.
func ReadCallTypes(names []string) (types CallTypes, unknown []string) {
	for _, name := range names {
		if endpoint, ok := callType(name); ok {
			types.only = append(types.only, endpoint)
		} else {
			unknown = append(unknown, name)
		}
	}
	if len(names) > 0 && types.only == nil {
		types.only = []chat.Endpoint{} // named, and none of them known: nothing
	}
	return types, unknown
}

func callType(name string) (chat.Endpoint, bool) {
	switch name {
	case "completion", "acompletion":
		return chat.Completions, true
	case "text_completion", "atext_completion":
		return chat.TextCompletions, true
	case "embedding", "aembedding":
		return chat.Embeddings, true
	case "responses", "aresponses":
		return chat.Responses, true
	case "rerank", "arerank":
		return chat.Rerank, true
	case "moderation", "amoderation":
		return chat.Moderations, true
	}
	return "", false
}

// Cacheable reports whether an answer to the request could be stored at all.
// Images and sound are not: their URLs expire, their size is of another order.
// Nor are streams that are not chunks of a completion (Responses), nor requests
// that do something beside answering: a conversation that grows, a job in the
// background.
func (t CallTypes) Cacheable(req *chat.Request) bool {
	switch req.Endpoint {
	case chat.Completions, chat.TextCompletions, chat.Embeddings, chat.Moderations, chat.Rerank:
	case chat.Responses:
		if given(req, "conversation") || given(req, "background") {
			return false
		}
	default:
		return false
	}
	if req.Stream && !replayable(req.Endpoint) {
		return false
	}
	return t.only == nil || slices.Contains(t.only, req.Endpoint)
}

// given reports whether a member is there and neither null nor false.
func given(req *chat.Request, name string) bool {
	v, ok := req.Body.Get(name)
	return ok && v.Kind() != 'n' && v.Kind() != 'f'
}
