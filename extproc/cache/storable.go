package cache

import (
	"bytes"
	"strconv"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// Unstorable says why an answer is not stored. It is an error for the log, never
// for a client.
type Unstorable string

func (u Unstorable) Error() string { return "answer not stored: " + string(u) }

// storable reports whether a blocking answer is whole and good enough to be
// given again; "" means yes.
func storable(req *chat.Request, object *jsonedit.Object) Unstorable {
	if v, ok := object.Get("error"); ok && !isNull(v) {
		return "an error"
	}
	switch req.Endpoint {
	case chat.Completions, chat.TextCompletions:
		return storableChoices(req, object)
	case chat.Embeddings:
		return storableList(object, "data", wantedEmbeddings(req))
	case chat.Moderations, chat.Rerank:
		return storableList(object, "results", 1)
	case chat.Responses:
		return storableResponse(object)
	}
	return "this endpoint is not cached"
}

// storableList wants an array of at least n elements.
func storableList(object *jsonedit.Object, name string, n int) Unstorable {
	v, _ := object.Get(name)
	if count(v) < n {
		return "fewer results than asked for"
	}
	return ""
}

// storableResponse wants a Responses answer that is complete and no refusal.
func storableResponse(object *jsonedit.Object) Unstorable {
	if status, _ := object.Get("status"); string(status) != `"completed"` {
		return "not completed"
	}
	output, _ := object.Get("output")
	if count(output) == 0 {
		return "no output"
	}
	if i := jsonedit.Find(output, "refusal"); i >= 0 && output[i] == '"' {
		return "a refusal"
	}
	return ""
}

// storableChoices wants every choice asked for, each finished.
func storableChoices(req *chat.Request, object *jsonedit.Object) Unstorable {
	v, _ := object.Get("choices")
	s := jsonedit.NewCursor(v, 0)
	if s.Kind() != '[' {
		return "no choices"
	}
	n := 0
	for s.Open(); s.More(); n++ {
		choice, err := jsonedit.Parse(s.Value())
		if err != nil {
			return "a choice is no object"
		}
		if why := storableChoice(req.Endpoint, choice); why != "" {
			return why
		}
	}
	if n == 0 || n < wantedChoices(req) {
		return "fewer choices than asked for"
	}
	return ""
}

func storableChoice(endpoint chat.Endpoint, choice *jsonedit.Object) Unstorable {
	reason, _ := choice.Get("finish_reason")
	if why := finished(string(reason)); why != "" {
		return why
	}
	if endpoint == chat.TextCompletions {
		if text, ok := choice.Get("text"); !ok || text.Kind() != '"' {
			return "no text"
		}
		return ""
	}
	v, _ := choice.Get("message")
	message, err := jsonedit.Parse(v)
	if err != nil {
		return "no message"
	}
	return storableMessage(message)
}

// finished reports whether a finish reason says that the answer is whole. Those
// of filters and failures do not, nor those nobody here knows.
func finished(reason string) Unstorable {
	switch reason {
	case `"stop"`, `"length"`, `"tool_calls"`, `"function_call"`, // OpenAI's, without content_filter
		`"eos"`, `"eos_token"`, `"end_turn"`, `"stop_sequence"`, `"max_tokens"`, `"model_length"`, `"COMPLETE"`:
		return ""
	case "", "null":
		return "a choice is not finished"
	}
	return "a choice ended otherwise than by itself"
}

// storableMessage wants an answer in the message. A refusal is left out: another
// attempt may get an answer. So is sound, whose id expires.
func storableMessage(message *jsonedit.Object) Unstorable {
	answered := false
	for _, m := range message.Members() {
		v := message.Value(m)
		if isNull(v) || string(v) == `""` || string(v) == "[]" {
			continue
		}
		switch m.Name {
		case "role", "reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "annotations":
		case "refusal":
			return "a refusal"
		case "audio":
			return "sound"
		default:
			answered = true
		}
	}
	if !answered {
		return "an empty answer"
	}
	return ""
}

// wantedChoices is the number of choices the client asked for.
func wantedChoices(req *chat.Request) int {
	n := 1
	if v, ok := req.Body.Get("n"); ok {
		if asked, err := strconv.Atoi(string(v)); err == nil {
			n = asked
		}
	}
	if prompt, ok := req.Body.Get("prompt"); ok && req.Endpoint == chat.TextCompletions {
		n *= max(itemCount(prompt), 1)
	}
	return n
}

func wantedEmbeddings(req *chat.Request) int {
	input, _ := req.Body.Get("input")
	return max(itemCount(input), 1)
}

// itemCount is how many items an input or a prompt has: a list of tokens is one.
func itemCount(v []byte) int {
	if len(v) == 0 || v[0] != '[' {
		return 1
	}
	if first := bytes.TrimLeft(v[1:], " \t\r\n"); len(first) > 0 && first[0] >= '0' && first[0] <= '9' {
		return 1
	}
	return count(v)
}
