package ending

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// Ending is how a request ended for its client.
type Ending int

const (
	Answered   Ending = iota
	Failed            // cleanly: a whole error in OpenAI's shape, an error event, or the visible end of what the provider cut off
	Left              // the client went away, as it should
	Unanswered        // anything else
)

// Of tells what a body that came whole is, stream says of which kind it was to be.
// broken: the provider breaks off its answer, so that a stream which looks whole is
// none. The error says what was wrong with one that is Unanswered.
func Of(status int, stream, broken bool, text []byte) (Ending, error) {
	switch {
	case status != http.StatusOK:
		if _, ok := Error(text); ok {
			return Failed, nil
		}
		return Unanswered, fmt.Errorf("status %d: %s", status, clip(text))
	case !stream:
		if json.Valid(text) && len(text) > 0 {
			return Answered, nil
		}
		return Unanswered, fmt.Errorf("a 200 of %d bytes that is no whole JSON: …%q", len(text), tail(text))
	case ends(text) && !broken:
		return Answered, nil
	}
	if _, ok := LastError(text); ok {
		return Failed, nil
	}
	return Unanswered, fmt.Errorf("a stream that ends with %q", tail(text))
}

// ends reports whether a stream has its last event: of chat and legacy completions, or
// of the Responses API.
func ends(text []byte) bool {
	if bytes.HasSuffix(text, []byte("data: [DONE]\n\n")) {
		return true
	}
	data, ok := lastEvent(text)
	var event struct{ Type string }
	return ok && json.Unmarshal(data, &event) == nil && event.Type == "response.completed"
}

// Error reads the code of an error in OpenAI's shape; its type, where it has no code.
func Error(text []byte) (code string, ok bool) {
	var body struct {
		Error struct{ Message, Type, Code string }
	}
	if json.Unmarshal(text, &body) != nil || body.Error.Message == "" {
		return "", false
	}
	if body.Error.Code == "" {
		return body.Error.Type, true
	}
	return body.Error.Code, true
}

// LastError is Error of a stream's last event but [DONE]. In the Responses API that event
// is response.failed, whose response has the error.
func LastError(text []byte) (code string, ok bool) {
	data, found := lastEvent(bytes.TrimSuffix(bytes.TrimSpace(text), []byte("data: [DONE]")))
	if !found {
		return "", false
	}
	var event struct {
		Type     string
		Response json.RawMessage
	}
	if json.Unmarshal(data, &event) == nil && event.Type == "response.failed" {
		data = event.Response
	}
	return Error(data)
}

// lastEvent is the data of a stream's last event.
func lastEvent(text []byte) (data []byte, ok bool) {
	text = bytes.TrimSpace(text)
	at := bytes.LastIndex(text, []byte("data: "))
	if at < 0 {
		return nil, false
	}
	return text[at+len("data: "):], true
}

func clip(text []byte) string { return string(text[:min(len(text), 200)]) }

func tail(text []byte) string { return clip(text[max(0, len(text)-100):]) }
