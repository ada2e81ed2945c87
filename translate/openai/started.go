package openai

import (
	"bytes"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// chunkCarries reports whether a chunk of a chat or legacy stream has something of the
// answer in it. It is asked until one has.
func chunkCarries(chunk []byte) bool {
	for choice := range jsonedit.Elements(choicesOf(chunk)) {
		if choiceCarries(choice) {
			return true
		}
	}
	return false
}

// choiceCarries reports whether a choice of a chunk says something. Servers have many
// names for what a delta can say (reasoning, reasoning_details, audio_content …) and
// few for what it is about.
func choiceCarries(choice []byte) bool {
	for name, value := range jsonedit.Members(choice) {
		switch string(name) {
		case "finish_reason", "text":
			if !isEmpty(value) {
				return true
			}
		case "delta", "message":
			for name, value := range jsonedit.Members(value) {
				if string(name) != "role" && string(name) != "name" && !isEmpty(value) {
					return true
				}
			}
		}
	}
	return false
}

// carries reports whether an event of the Responses API, or of another endpoint whose
// events have types, says something of the answer.
func (e *typedEvent) carries() bool {
	switch string(e.kind) {
	case "response.created", "response.queued", "response.in_progress", "response.failed", "error", "keepalive", "ping":
		return false
	case "response.output_item.added":
		return itemCarries(e.item)
	case "response.content_part.added", "response.reasoning_summary_part.added", "response.reasoning_part.added":
		return itemCarries(e.part)
	}
	return e.delta == nil || !isEmpty(e.delta)
}

// itemCarries reports whether an output item, or a part of one, says something already.
// A message and reasoning begin empty; another item is a call, which says that it is
// made.
func itemCarries(item []byte) bool {
	for name, value := range jsonedit.Members(item) {
		switch string(name) {
		case "type":
			switch string(bytes.Trim(value, `"`)) {
			case "message", "reasoning", "output_text", "reasoning_text", "summary_text", "refusal":
			default:
				return true
			}
		case "content", "summary", "encrypted_content", "text", "refusal":
			if !isEmpty(value) {
				return true
			}
		}
	}
	return false
}

// isEmpty reports whether a JSON value says nothing.
func isEmpty(value []byte) bool {
	switch string(value) {
	case `""`, "null", "[]", "{}", "":
		return true
	}
	return false
}
