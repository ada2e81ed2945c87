package translatetest

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/sse"
)

// chunk is one event of a chat stream, as far as it is compared.
type chunk struct {
	ID      string         `json:"id"`
	Choices []chunkChoice  `json:"choices"`
	Usage   any            `json:"usage"`
	Error   jsontext.Value `json:"error"`
}

type chunkChoice struct {
	Index int `json:"index"`
	Delta struct {
		Role      string      `json:"role"`
		Content   string      `json:"content"`
		Reasoning string      `json:"reasoning_content"`
		Refusal   string      `json:"refusal"`
		Calls     []chunkCall `json:"tool_calls"`
	} `json:"delta"`
	Logprobs struct {
		Content []any `json:"content"`
	} `json:"logprobs"`
	Finish string `json:"finish_reason"`
}

type chunkCall struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// folded is the sum of a stream's chunks.
type folded struct {
	choices  map[int]*foldedChoice
	usage    any
	counted  bool // the usage chunk came
	fault    any  // the error the stream ended with
	faulted  bool
	done     bool
	ids      map[string]bool
	problems []string // breaches of what clients rely on
}

type foldedChoice struct {
	role, content, reasoning, refusal, finish string
	calls                                     map[int]*chunkCall
	logprobs                                  []any
}

func (f *folded) problem(text string) { f.problems = append(f.problems, text) }

// fold adds up the chunks of a stream.
func fold(stream []byte) *folded {
	f := &folded{choices: map[int]*foldedChoice{}, ids: map[string]bool{}}
	var r sse.Reader
	r.Feed(stream)
	for {
		event, ok := r.Next()
		if !ok {
			if event, ok = r.End(); !ok {
				return f
			}
		}
		if event.Data != nil {
			f.event(event.Data)
		}
	}
}

func (f *folded) event(data []byte) {
	if string(bytes.TrimSpace(data)) == "[DONE]" {
		f.done = true
		return
	}
	if f.done {
		f.problem("data after [DONE]")
	}
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		f.problem("an event that is no chunk: " + err.Error() + ": " + string(data))
		return
	}
	if c.Error != nil {
		f.faulted = true
		f.fault, _ = parseJSON(string(c.Error))
		return
	}
	if c.ID != "" {
		f.ids[c.ID] = true
	}
	if f.counted && len(c.Choices) > 0 {
		f.problem("choices after the usage chunk")
	}
	if c.Usage != nil {
		f.usage, f.counted = c.Usage, len(c.Choices) == 0
	}
	for i := range c.Choices {
		f.choice(&c.Choices[i])
	}
}

func (f *folded) choice(c *chunkChoice) {
	s := f.choices[c.Index]
	if s == nil {
		s = &foldedChoice{calls: map[int]*chunkCall{}}
		f.choices[c.Index] = s
	}
	d := &c.Delta
	says := d.Content != "" || d.Reasoning != "" || len(d.Calls) > 0
	where := "choice " + strconv.Itoa(c.Index) + ": "
	if s.finish != "" && says {
		f.problem(where + "a delta after the finish reason")
	}
	switch {
	case s.role != "":
	case d.Role != "":
		s.role = d.Role
	case says || d.Refusal != "":
		f.problem(where + "the first delta has no role")
		s.role = "assistant"
	}
	s.content += d.Content
	s.reasoning += d.Reasoning
	s.refusal += d.Refusal
	s.logprobs = append(s.logprobs, c.Logprobs.Content...)
	for i := range d.Calls {
		f.call(s, &d.Calls[i], where)
	}
	if c.Finish == "" {
		return
	}
	if s.finish != "" {
		f.problem(where + "two finish reasons")
	}
	s.finish = c.Finish
}

func (f *folded) call(s *foldedChoice, c *chunkCall, where string) {
	if c.Index == nil {
		f.problem(where + "a tool call without an index")
		return
	}
	known := s.calls[*c.Index]
	switch {
	case known == nil:
		if c.ID == "" || c.Function.Name == "" {
			f.problem(where + "a tool call begins without id or name")
		}
		s.calls[*c.Index] = c
		return
	case c.ID != "" && c.ID != known.ID:
		f.problem(where + "a tool call changes its id")
	}
	known.Function.Arguments += c.Function.Arguments
}

// answer is the blocking answer that the stream adds up to.
func (f *folded) answer() object {
	choices := []any{}
	for _, index := range slices.Sorted(maps.Keys(f.choices)) {
		s := f.choices[index]
		role := s.role
		if role == "" {
			role = "assistant"
		}
		message := object{"role": role, "content": s.content, "reasoning_content": s.reasoning, "refusal": s.refusal}
		var calls []any
		for i, n := range slices.Sorted(maps.Keys(s.calls)) {
			if i != n {
				f.problem("tool call indices are not 0, 1, 2 …")
			}
			c := s.calls[n]
			calls = append(calls,
				object{"id": c.ID, "type": "function", "function": object{"name": c.Function.Name, "arguments": c.Function.Arguments}})
		}
		if calls != nil {
			message["tool_calls"] = calls
		}
		choice := object{"index": float64(index), "message": message, "finish_reason": nil, "logprobs": object{"content": s.logprobs}}
		if s.finish != "" {
			choice["finish_reason"] = s.finish
		}
		choices = append(choices, choice)
	}
	return object{"object": "chat.completion", "choices": choices, "usage": f.usage}
}

// compareStream compares the sum of a stream with the golden one, and holds the
// stream to what clients rely on.
func (x *Exchange) compareStream(d *difference, stream []byte) {
	f := fold(stream)
	got := f.answer()
	if x.want.streamFault == nil {
		if f.faulted {
			d.add("/stream", "unexpected error event %s", show(f.fault))
		}
		if !f.done {
			d.add("/stream", "no [DONE]")
		}
		for _, p := range f.problems {
			d.add("/stream", "%s", p)
		}
	} else {
		d.fault("/stream/error", x.want.streamFault, f.fault)
	}
	if len(f.ids) > 1 {
		d.add("/stream", "chunks of one answer have different ids: %v", slices.Sorted(maps.Keys(f.ids)))
	}
	d.uniqueIDs(got)
	want, folded := canonicalAnswer(x.want.body), canonicalAnswer(got)
	if x.want.streamFault != nil { // how far it came is all that counts
		for _, answer := range []object{want, folded} {
			answer["usage"] = nil
			for _, c := range objectsIn(answer["choices"]) {
				c["finish_reason"] = nil
			}
		}
	}
	d.compare("/folded", want, folded)
}

// canonicalAnswer keeps what clients read of a completion.
func canonicalAnswer(v any) object {
	answer, _ := v.(object)
	choices := []any{}
	for _, c := range objectsIn(answer["choices"]) {
		index := c["index"]
		if index == nil {
			index = 0.0
		}
		choice := object{"index": index, "finish_reason": c["finish_reason"], "message": canonicalMessage(c["message"])}
		if content, _ := at(c, []string{"logprobs", "content"}).([]any); len(content) > 0 {
			choice["logprobs"] = canonicalLogprobs(content)
		}
		choices = append(choices, choice)
	}
	return object{"object": answer["object"], "choices": choices, "usage": canonicalUsage(answer["usage"])}
}

func canonicalLogprobs(content []any) []any {
	var out []any
	for _, t := range objectsIn(content) {
		var top []any
		for _, o := range objectsIn(t["top_logprobs"]) {
			top = append(top, []any{o["token"], rounded(o["logprob"])})
		}
		out = append(out, object{"token": t["token"], "logprob": rounded(t["logprob"]), "top": top})
	}
	return out
}

func rounded(v any) any {
	if f, ok := v.(float64); ok {
		return math.Round(f*1e5) / 1e5
	}
	return v
}

// uniqueIDs reports tool calls of one choice that share an id.
func (d *difference) uniqueIDs(answer object) {
	for i, c := range objectsIn(answer["choices"]) {
		seen := map[any]bool{}
		message, _ := c["message"].(object)
		for _, call := range objectsIn(message["tool_calls"]) {
			if seen[call["id"]] {
				d.add("/choices/"+strconv.Itoa(i), "two tool calls have the id %s", show(call["id"]))
			}
			seen[call["id"]] = true
		}
	}
}
