package openai

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// current returns the value that a parameter has after the edits made so far.
func current(req *chat.Request, edits *jsonedit.Edits, name string) (jsontext.Value, bool) {
	if edits.Touches(name) {
		return edits.Value(name)
	}
	return req.Body.Get(name)
}

// hasValue reports whether a parameter has a value after the edits made so far;
// null is none.
func hasValue(req *chat.Request, edits *jsonedit.Edits, name string) bool {
	value, ok := current(req, edits, name)
	return ok && value.Kind() != 'n'
}

// editParams makes the edits to a chat request's parameters that the server's
// quirks ask for. The error is an *upstream.Error that names the parameters the
// server lacks.
func (b *BodyEditor) editParams(req *chat.Request, edits *jsonedit.Edits) error {
	if err := b.dropLacking(req, edits); err != nil {
		return err
	}
	if b.quirks.NoStreamOptions {
		edits.Delete("stream_options")
	}
	for _, r := range b.quirks.Renames {
		b.renameParam(req, edits, r)
	}
	for _, v := range b.quirks.Values {
		if value, ok := current(req, edits, v.Param); ok && isString(value, v.From) {
			edits.SetString(v.Param, v.To)
		}
	}
	for _, p := range b.quirks.Adds {
		if _, ok := current(req, edits, p.Name); !ok && !b.target.Drops(p.Name) {
			edits.Set(p.Name, p.Value)
		}
	}
	if choice, ok := current(req, edits, "tool_choice"); ok && b.quirks.NoNamedTool && choice.Kind() == '{' {
		edits.SetString("tool_choice", "any")
	}
	if b.quirks.Thinking {
		switchThinking(req, edits)
	}
	return nil
}

// dropLacking removes what the server lacks, or refuses the request for it.
// OpenAI's own servers lack parameters only for some models, and take those that
// ask for nothing.
func (b *BodyEditor) dropLacking(req *chat.Request, edits *jsonedit.Edits) error {
	if len(b.lacks) == 0 {
		return nil
	}
	effort, _ := current(req, edits, "reasoning_effort")
	rests := b.own.rests(effort)
	var lacking []string
	for _, name := range b.lacks {
		value, ok := current(req, edits, name)
		if !ok || b.target.Allows(name) || rests && sampling(name) {
			continue
		}
		if value.Kind() == 'n' || chat.Idle(upstream.Param{Name: name, Value: value}) {
			if !b.genuine || b.target.DropParams && name != "temperature" { // which they have, at 1
				edits.Delete(name)
			}
			continue
		}
		if !slices.Contains(chat.Bookkeeping, name) {
			lacking = append(lacking, name)
		}
		edits.Delete(name)
	}
	return b.target.Refuse(lacking)
}

// renameParam gives a parameter the server's name. If the request has both, the
// OpenAI name holds: it is what the client's library knows.
func (b *BodyEditor) renameParam(req *chat.Request, edits *jsonedit.Edits, r Rename) {
	value, ok := current(req, edits, r.From)
	if !ok {
		return
	}
	if value.Kind() == 'n' {
		edits.Delete(r.From)
		return
	}
	if _, ok := current(req, edits, r.To); ok {
		edits.Delete(r.To)
	}
	if edits.Touches(r.From) { // a default: its value is not in the body
		edits.Delete(r.From)
		edits.Set(r.To, value)
		return
	}
	edits.Rename(r.From, r.To)
}

// switchThinking says what reasoning_effort asks for in DeepSeek's words too,
// unless the request says so itself.
// https://api-docs.deepseek.com/guides/thinking_mode
func switchThinking(req *chat.Request, edits *jsonedit.Edits) {
	effort, ok := current(req, edits, "reasoning_effort")
	if _, own := current(req, edits, "thinking"); own || !ok || effort.Kind() != '"' {
		return
	}
	if isString(effort, "none") {
		edits.Delete("reasoning_effort")
		edits.Set("thinking", jsontext.Value(`{"type":"disabled"}`))
		return
	}
	edits.Set("thinking", jsontext.Value(`{"type":"enabled"}`))
}

// thinks reports whether a request asks DeepSeek to think.
func thinks(req *chat.Request, edits *jsonedit.Edits) bool {
	thinking, _ := current(req, edits, "thinking")
	i := jsonedit.Find(thinking, "type")
	return i >= 0 && bytes.HasPrefix(thinking[i:], []byte(`"enabled"`))
}

// isString reports whether a JSON value is this string, which needs no escapes.
func isString(v jsontext.Value, s string) bool {
	return len(v) == len(s)+2 && v[0] == '"' && string(v[1:len(v)-1]) == s
}

// defaults returns the target's default parameters that are sent at all.
func defaults(t *upstream.Target) []upstream.Param {
	return slices.DeleteFunc(slices.Clone(t.Defaults), func(p upstream.Param) bool { return t.Drops(p.Name) })
}
