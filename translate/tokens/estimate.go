package tokens

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// What OpenAI's chat format puts around the text.
// https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
const (
	perMessage = 3
	perRole    = 1
	perName    = 1
	perAnswer  = 3
	perCall    = 8 // a tool, or a call of one: names and punctuation
)

// Estimate fills in the usage of an answer that the provider has not reported, or not all
// of it, and marks it. What was reported stays: the prompt's count, the completion's as
// the least that it can be, and the total where nothing else was. It does nothing when
// the provider reported the whole, or when the answer failed before anything was said or
// counted. model is the provider's name of the model that answered.
func (c *Counter) Estimate(model string, req *chat.Request, r *chat.Result) {
	if r.HasUsage || r.Failure != nil && r.Output.Bytes == 0 && r.Usage.Total == 0 {
		return
	}
	u, output := r.Usage, c.output(model, req, r.Output)
	switch {
	case u.Prompt > 0:
	case u.Completion == 0 && u.Total > 0:
		output = min(output, u.Total)
		u.Prompt = u.Total - output
	default:
		u.Prompt = c.Prompt(model, req)
	}
	u.Completion = max(u.Completion, output)
	u.Total = u.Prompt + u.Completion
	r.Usage, r.HasUsage, r.Estimated = u, true, true
}

// output counts a completion from what was kept of it.
func (c *Counter) output(model string, req *chat.Request, o chat.Output) int64 {
	switch {
	case req.Endpoint != chat.Completions && req.Endpoint != chat.TextCompletions && req.Endpoint != chat.Responses:
		return 0 // vectors, pictures, verdicts: no text was generated
	case o.Sample == "":
		return Guess(int(o.Bytes))
	}
	n := c.Count(model, o.Sample)
	if o.Bytes > int64(len(o.Sample)) {
		return n * o.Bytes / int64(len(o.Sample))
	}
	return n
}

// Prompt counts the tokens of a request's prompt, tools included.
func (c *Counter) Prompt(model string, req *chat.Request) int64 {
	t := tally{codec: c.codec(model), budget: maxCounted}
	switch req.Endpoint {
	case chat.Completions:
		completion, err := req.Completion(nil)
		if err != nil {
			return Guess(len(req.Body.Source()))
		}
		t.conversation(completion)
	case chat.TextCompletions:
		t.input(member(req, "prompt"))
	case chat.Responses:
		t.input(member(req, "instructions"))
		t.input(member(req, "input"))
		t.text(string(member(req, "tools")))
	default:
		t.input(member(req, "input"))
	}
	return t.tokens
}

func member(req *chat.Request, name string) jsontext.Value {
	v, _ := req.Body.Get(name)
	return v
}

func (t *tally) conversation(c *chat.Completion) {
	t.add(perAnswer)
	for i := range c.Messages {
		t.message(&c.Messages[i])
	}
	for i := range c.Tools {
		t.add(perCall)
		t.text(c.Tools[i].Name)
		t.text(c.Tools[i].Description)
		t.text(string(c.Tools[i].Parameters))
	}
	t.text(string(c.ResponseFormat.Schema))
}

func (t *tally) message(m *chat.Message) {
	t.add(perMessage + perRole)
	if m.Name != "" {
		t.add(perName)
		t.text(m.Name)
	}
	for i := range m.Content {
		t.text(m.Content[i].Text)
		t.add(media(&m.Content[i]))
	}
	for i := range m.Calls {
		t.add(perCall)
		t.text(m.Calls[i].Name)
		t.text(m.Calls[i].Arguments)
	}
	t.text(m.Refusal)
	t.text(m.Reasoning)
}

// input adds the strings in a prompt, an embedding's input or the Responses API's
// items, wherever they stand. Numbers are tokens already; data: URLs are not text.
func (t *tally) input(v jsontext.Value) {
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return // the end: the body was validated
		}
		switch token.Kind() {
		case '0':
			t.add(1)
		case '"':
			parent, n := dec.StackIndex(dec.StackDepth())
			name := parent == '{' && n%2 == 1
			if text := token.String(); !name && !strings.HasPrefix(text, "data:") {
				t.text(text)
			}
		}
	}
}
