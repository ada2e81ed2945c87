package openai

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// extensions are members this gateway gives messages and tool calls for other
// providers; clients send them back to whoever is next.
var extensions = []string{"thinking_blocks", "provider_specific_fields", "extra_content"}

// messageEdit edits one message on top of edits already made to it.
type messageEdit func(*jsonedit.Object, *jsonedit.Edits)

// messageEdits returns what the server wants changed in messages that have these
// features, in the order of the changes.
func (b *BodyEditor) messageEdits(m *features) []messageEdit {
	q := b.quirks
	var edits []messageEdit
	add := func(wanted bool, edit messageEdit) {
		if wanted {
			edits = append(edits, edit)
		}
	}
	add(b.genuine && m.cacheControl, dropCacheControl)
	add(!b.genuine && m.developer, developerToSystem)
	add(m.image, imageParts)
	add(q.Plain && m.cacheControl && b.caches, cacheControlInParts)
	add(q.Plain && m.cacheControl && !b.caches, dropCacheControl)
	add((q.Plain || b.genuine) && m.extension, dropExtensions)
	add(b.genuine && m.reasoning, dropReasoning)
	add(m.dropped, func(o *jsonedit.Object, e *jsonedit.Edits) { dropMembers(o, e, q.Drop) })
	add(q.NoNulls && m.null, dropNulls)
	add(q.TextContent && m.text, joinText)
	add(q.ShortCallIDs && m.calls, shortCallIDs)
	return edits
}

func dropReasoning(_ *jsonedit.Object, edits *jsonedit.Edits) { edits.Delete("reasoning_content") }

func roleOf(o *jsonedit.Object) string {
	role, _ := o.Get("role")
	return plain(role)
}

// plain returns a JSON string's text, "" for any other value.
func plain(v jsontext.Value) string {
	var s string
	if v.Kind() == '"' {
		_ = json.Unmarshal(v, &s) // the body was validated
	}
	return s
}

func dropMembers(o *jsonedit.Object, edits *jsonedit.Edits, names []string) {
	for _, name := range names {
		if role := roleOf(o); name == "name" && (role == "tool" || role == "function") {
			continue // the function's name, not a participant's
		}
		edits.Delete(name)
	}
}

func dropNulls(o *jsonedit.Object, edits *jsonedit.Edits) {
	for _, m := range o.Members() {
		if o.Value(m).Kind() == 'n' && !edits.Touches(m.Name) {
			edits.Delete(m.Name)
		}
	}
}

func dropExtensions(o *jsonedit.Object, edits *jsonedit.Edits) {
	for _, name := range extensions {
		edits.Delete(name)
	}
	editCalls(o, edits, func(_ *jsonedit.Object, call *jsonedit.Edits) {
		for _, name := range extensions {
			call.Delete(name)
		}
	})
}

// editCalls edits the tool calls of a message, on top of edits made to them.
func editCalls(o *jsonedit.Object, edits *jsonedit.Edits, f messageEdit) {
	calls, ok := edits.Value("tool_calls")
	if !ok {
		calls, ok = o.Get("tool_calls")
	}
	if !ok || calls.Kind() != '[' {
		return
	}
	if changed := mapObjects(calls, f); !chat.Untouched(calls, changed) {
		edits.Set("tool_calls", changed)
	}
}

// joinText makes content of text parts only one string, as the parts stand.
func joinText(o *jsonedit.Object, edits *jsonedit.Edits) {
	content, ok := edits.Value("content")
	if !ok {
		content, _ = o.Get("content")
	}
	if content.Kind() != '[' {
		return
	}
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if json.Unmarshal(content, &parts) != nil {
		return
	}
	var text []byte
	for _, p := range parts {
		if p.Type != "text" || p.Text == nil {
			return
		}
		text = append(text, *p.Text...)
	}
	edits.SetString("content", string(text))
}

// cacheControlInParts moves a message's own cache_control to its last content
// part, where OpenRouter looks for it.
func cacheControlInParts(o *jsonedit.Object, edits *jsonedit.Edits) {
	control, ok := o.Get("cache_control")
	if !ok {
		return
	}
	edits.Delete("cache_control")
	content, ok := edits.Value("content")
	if !ok {
		content, _ = o.Get("content")
	}
	switch content.Kind() {
	case '"':
		part := slices.Concat(jsontext.Value(`[{"type":"text","text":`), content, jsontext.Value(`,"cache_control":`), control,
			jsontext.Value(`}]`))
		edits.Set("content", part)
	case '[':
		var n, at int
		mapObjects(content, func(*jsonedit.Object, *jsonedit.Edits) { n++ })
		edits.Set("content", mapObjects(content, func(_ *jsonedit.Object, e *jsonedit.Edits) {
			if at++; at == n {
				e.Set("cache_control", control)
			}
		}))
	}
}

// fillReasoning gives an assistant message the reasoning_content that DeepSeek
// insists on when it thinks, if the client did not keep it: a space is the least
// it takes.
// https://api-docs.deepseek.com/guides/thinking_mode
func fillReasoning(o *jsonedit.Object, edits *jsonedit.Edits) {
	if reasoning, _ := o.Get("reasoning_content"); roleOf(o) == "assistant" && plain(reasoning) == "" {
		edits.SetString("reasoning_content", " ")
	}
}

// shortCallIDs gives tool calls and their answers ids that Mistral takes. An id
// always becomes the same one, so calls and answers keep together over turns.
func shortCallIDs(o *jsonedit.Object, edits *jsonedit.Edits) {
	shorten := func(o *jsonedit.Object, edits *jsonedit.Edits, name string) {
		v, _ := o.Get(name)
		if id := plain(v); id != "" && !short(id) {
			edits.SetString(name, shortID(id))
		}
	}
	shorten(o, edits, "tool_call_id")
	editCalls(o, edits, func(call *jsonedit.Object, e *jsonedit.Edits) { shorten(call, e, "id") })
}

const shortLength = 9

func short(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(id) == shortLength
}

func shortID(id string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(id))
	out := make([]byte, shortLength)
	for i := range out {
		out[i] = digits[int(sum[i])%len(digits)]
	}
	return string(out)
}

// withoutEmptyTurns removes assistant messages that say nothing.
func withoutEmptyTurns(messages jsontext.Value) jsontext.Value {
	out, err := jsonedit.FilterArray(messages, func(m jsontext.Value) bool { return !emptyTurn(m) })
	if err != nil {
		return messages // the body was validated
	}
	return out
}

// emptyTurn reports whether an assistant message says nothing and calls nothing.
func emptyTurn(message jsontext.Value) bool {
	if !bytes.Contains(message, []byte(`"assistant"`)) {
		return false
	}
	var m struct {
		Role    string           `json:"role"`
		Content jsontext.Value   `json:"content"`
		Calls   []jsontext.Value `json:"tool_calls"`
	}
	if json.Unmarshal(message, &m) != nil || m.Role != "assistant" || len(m.Calls) > 0 {
		return false
	}
	switch string(m.Content) {
	case "", "null", `""`, "[]":
		return true
	}
	return false
}
