package openai

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// rewriter gives a blocking answer the names that clients expect. The answer is
// kept whole until its end.
type rewriter struct {
	quirks *Quirks
	body   []byte
	relay  chat.Decoder
}

func (d *rewriter) Feed(chunk []byte, last bool) []byte {
	d.body = append(d.body, chunk...)
	if !last {
		return nil
	}
	out := d.quirks.rewrite(d.body)
	scan := newRelay(chat.Completions)
	scan.Feed(out, true)
	d.relay, d.body = scan, nil
	return out
}

// Abort makes an answer that has not ended the failure e.
func (d *rewriter) Abort(e *upstream.Error) []byte {
	if d.relay == nil {
		d.relay, d.body = newRelay(chat.Completions), nil
	}
	return d.relay.Abort(e)
}

// Failed is false: the body of a blocking answer is not replaced here.
func (d *rewriter) Failed() bool { return false }

func (d *rewriter) Started() bool { return d.relay != nil && d.relay.Started() }

func (d *rewriter) Complete() bool { return d.Started() }

func (d *rewriter) Result() chat.Result {
	if d.relay == nil {
		return chat.Result{}
	}
	return d.relay.Result()
}

// rewrite returns an answer, or one chunk of a stream, as OpenAI would have
// written it. It is data itself where nothing changes.
func (q *Quirks) rewrite(data []byte) []byte {
	if !q.mayChange(data) {
		return data
	}
	object, err := jsonedit.Parse(data)
	if err != nil {
		return data
	}
	choices, ok := object.Get("choices")
	if !ok || choices.Kind() != '[' {
		return data
	}
	changed := mapObjects(choices, q.rewriteChoice)
	if chat.Untouched(choices, changed) {
		return data
	}
	var edits jsonedit.Edits
	edits.Set("choices", changed)
	return object.Apply(&edits)
}

// mayChange looks at the bytes only, and reports whether anything may have to
// change.
func (q *Quirks) mayChange(data []byte) bool {
	value := func(name string) byte {
		if i := jsonedit.Find(data, name); i >= 0 && i < len(data) {
			return data[i]
		}
		return 0
	}
	return q.Reasoning && value("reasoning") != 0 ||
		q.ContentLists && value("content") == '[' ||
		(q.EmptyFinish || len(q.Finish) > 0) && value("finish_reason") == '"'
}

func (q *Quirks) rewriteChoice(choice *jsonedit.Object, edits *jsonedit.Edits) {
	for _, name := range []string{"message", "delta"} {
		value, ok := choice.Get(name)
		if !ok || value.Kind() != '{' {
			continue
		}
		message, err := jsonedit.Parse(value)
		if err != nil {
			continue
		}
		var inner jsonedit.Edits
		q.rewriteMessage(message, &inner)
		if changed := message.Apply(&inner); !chat.Untouched(value, changed) {
			edits.Set(name, changed)
		}
		if reason, _ := choice.Get("finish_reason"); q.EmptyFinish && isString(reason, "") && message.Has("tool_calls") {
			edits.SetString("finish_reason", "tool_calls")
		}
	}
	reason, _ := choice.Get("finish_reason")
	for _, f := range q.Finish {
		if isString(reason, f.From) {
			edits.SetString("finish_reason", f.To)
		}
	}
}

func (q *Quirks) rewriteMessage(message *jsonedit.Object, edits *jsonedit.Edits) {
	if q.Reasoning && message.Has("reasoning") && !message.Has("reasoning_content") {
		edits.Rename("reasoning", "reasoning_content")
	}
	content, ok := message.Get("content")
	if !q.ContentLists || !ok || content.Kind() != '[' {
		return
	}
	text, thoughts := splitChunks(content)
	edits.SetString("content", text)
	if thoughts != "" && !message.Has("reasoning_content") {
		edits.SetString("reasoning_content", thoughts)
	}
}

// splitChunks parts Mistral's content chunks into text and reasoning.
// https://docs.mistral.ai/capabilities/reasoning
func splitChunks(content jsontext.Value) (text, thoughts string) {
	type chunk struct {
		Type     string         `json:"type"`
		Text     string         `json:"text"`
		Thinking jsontext.Value `json:"thinking"`
	}
	var chunks []chunk
	if json.Unmarshal(content, &chunks) != nil {
		return "", ""
	}
	var answer, thought bytes.Buffer
	for _, c := range chunks {
		answer.WriteString(c.Text)
		var inner []chunk
		if c.Thinking.Kind() == '"' {
			thought.WriteString(plain(c.Thinking))
		} else if json.Unmarshal(c.Thinking, &inner) == nil {
			for _, t := range inner {
				thought.WriteString(t.Text)
			}
		}
	}
	return answer.String(), thought.String()
}
