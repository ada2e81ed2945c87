package cache_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The types here are a client's reading of an answer, kept apart from the
// package under test: what a client has put together after the last byte.

type answer struct {
	ID, Model string
	Created   int64
	Choices   []said
	Usage     jsontext.Value
}

type said struct {
	Role, Content, Refusal, Reasoning, Finish string
	Calls                                     []called
	Logprobs                                  []string
}

type called struct{ ID, Type, Name, Arguments string }

type wireAnswer struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Model   string         `json:"model"`
	Created int64          `json:"created"`
	Choices []wireChoice   `json:"choices"`
	Usage   jsontext.Value `json:"usage"`
}

type wireChoice struct {
	Index    int         `json:"index"`
	Message  wireMessage `json:"message"`
	Delta    wireMessage `json:"delta"`
	Text     string      `json:"text"`
	Logprobs struct {
		Content []struct {
			Token string `json:"token"`
		} `json:"content"`
	} `json:"logprobs"`
	Finish string `json:"finish_reason"`
}

type wireMessage struct {
	Role      string     `json:"role"`
	Content   string     `json:"content"`
	Refusal   string     `json:"refusal"`
	Reasoning string     `json:"reasoning_content"`
	Calls     []wireCall `json:"tool_calls"`
}

type wireCall struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

func (a *answer) head(w wireAnswer) {
	a.ID, a.Model, a.Created = w.ID, w.Model, w.Created
	if w.Usage.Kind() == '{' {
		a.Usage = w.Usage
	}
}

func (s *said) add(m wireMessage) {
	s.Role += m.Role
	s.Content += m.Content
	s.Refusal += m.Refusal
	s.Reasoning += m.Reasoning
}

// readBlocking reads a JSON answer as a client does.
func readBlocking(t testing.TB, body []byte) answer {
	t.Helper()
	var w wireAnswer
	if err := json.Unmarshal(body, &w); err != nil {
		t.Fatalf("the answer is no JSON: %v\n%s", err, body)
	}
	var a answer
	a.head(w)
	for _, c := range w.Choices {
		s := said{Finish: c.Finish}
		s.add(c.Message)
		s.Content += c.Text
		for _, call := range c.Message.Calls {
			s.Calls = append(s.Calls, called{call.ID, call.Type, call.Function.Name, call.Function.Arguments})
		}
		for _, p := range c.Logprobs.Content {
			s.Logprobs = append(s.Logprobs, p.Token)
		}
		a.Choices = append(a.Choices, s)
	}
	return a
}

// readStream reads an event stream as a client does, and checks the rules of
// streams on the way: the role first, a call's id and name first, one finish
// reason and nothing after it, usage last and without choices, [DONE] last.
func readStream(t testing.TB, body []byte) answer {
	t.Helper()
	var a answer
	events := strings.Split(strings.TrimSuffix(string(body), "\n\n"), "\n\n")
	if last := events[len(events)-1]; last != "data: [DONE]" {
		t.Fatalf("the last event is %q\n%s", last, body)
	}
	for _, event := range events[:len(events)-1] {
		data, ok := strings.CutPrefix(event, "data: ")
		var w wireAnswer
		if err := json.Unmarshal([]byte(data), &w); !ok || err != nil || strings.Contains(data, "\n") {
			t.Fatalf("bad event %q: %v", event, err)
		}
		if a.Usage != nil || w.Usage.Kind() == '{' && len(w.Choices) > 0 {
			t.Fatalf("usage is not in the last chunk, without choices: %s", body)
		}
		a.head(w)
		for _, c := range w.Choices {
			for len(a.Choices) <= c.Index {
				a.Choices = append(a.Choices, said{})
			}
			a.Choices[c.Index].take(t, c, w.Object == "text_completion")
		}
	}
	return a
}

func (s *said) take(t testing.TB, c wireChoice, legacy bool) {
	t.Helper()
	switch {
	case s.Finish != "":
		t.Fatalf("a chunk after the finish reason: %+v", c)
	case !legacy && (s.Role == "") != (c.Delta.Role != ""):
		t.Fatalf("the role comes first and once: %+v", c)
	}
	s.add(c.Delta)
	s.Content += c.Text
	s.Finish = c.Finish
	for _, call := range c.Delta.Calls {
		if call.Index == nil || *call.Index > len(s.Calls) {
			t.Fatalf("a tool call without its index: %+v", c)
		}
		if *call.Index == len(s.Calls) {
			if call.ID == "" || call.Function.Name == "" || call.Type == "" {
				t.Fatalf("a call begins without its id, type and name: %+v", call)
			}
			s.Calls = append(s.Calls, called{call.ID, call.Type, call.Function.Name, ""})
		}
		s.Calls[*call.Index].Arguments += call.Function.Arguments
	}
	for _, p := range c.Logprobs.Content {
		s.Logprobs = append(s.Logprobs, p.Token)
	}
}

// invent makes up an answer.
func invent(rng *rand.Rand) answer {
	a := answer{ID: "chatcmpl-" + fmt.Sprint(rng.IntN(1e9)), Model: "gpt-4o-2024-08-06", Created: int64(1e9 + rng.IntN(1e9))}
	if rng.IntN(4) > 0 {
		a.Usage = jsontext.Value(fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":7,"total_tokens":9,"x":{"y":1}}`, rng.IntN(100)))
	}
	for range 1 + rng.IntN(3) {
		s := said{Role: "assistant", Finish: "stop"}
		if rng.IntN(3) > 0 {
			s.Content = words(rng, 1+rng.IntN(30))
		}
		if rng.IntN(3) == 0 {
			s.Reasoning = words(rng, 1+rng.IntN(10))
		}
		if rng.IntN(3) == 0 || s.Content == "" {
			s.Finish = "tool_calls"
			for range 1 + rng.IntN(3) {
				s.Calls = append(s.Calls, called{"call_" + fmt.Sprint(rng.IntN(1e9)), "function", "f" + fmt.Sprint(rng.IntN(9)), `{"q":` +
					spell(rng, words(rng, 3)) + `}`})
			}
		}
		if s.Content != "" && rng.IntN(3) == 0 {
			s.Logprobs = strings.SplitAfter(s.Content, " ")
		}
		a.Choices = append(a.Choices, s)
	}
	return a
}

func words(rng *rand.Rand, n int) string {
	list := []string{"the", "cache", "\"quoted\"", "back\\slash", "líne\nbreak", "😀", "\t", "日本", "</s>", "\u2028", "data:", "[DONE]", "null",
		"{}"}
	var b strings.Builder
	for range n {
		b.WriteString(list[rng.IntN(len(list))] + " ")
	}
	return b.String()
}

// blocking writes an answer as a provider does, sometimes pretty.
func (a answer) blocking(rng *rand.Rand) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":%q,"object":"chat.completion","created":%d,"model":%q,"choices":[`, a.ID, a.Created, a.Model)
	for i, s := range a.Choices {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"index":%d,"message":{"role":"assistant","content":%s,"refusal":null,"annotations":[]`, i, orNull(rng, s.Content))
		if s.Reasoning != "" {
			b.WriteString(`,"reasoning_content":` + spell(rng, s.Reasoning))
		}
		if len(s.Calls) > 0 {
			b.WriteString(`,"tool_calls":[`)
			for n, c := range s.Calls {
				if n > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, `{"id":%q,"type":"function","function":{"name":%q,"arguments":%s}}`, c.ID, c.Name, spell(rng, c.Arguments))
			}
			b.WriteByte(']')
		}
		fmt.Fprintf(&b, `},"logprobs":%s,"finish_reason":%q}`, logprobs(rng, s.Logprobs), s.Finish)
	}
	b.WriteByte(']')
	if a.Usage != nil {
		b.WriteString(`,"usage":` + string(a.Usage))
	}
	b.WriteString(`,"system_fingerprint":"fp"}`)
	out := jsontext.Value(b.String())
	if rng.IntN(2) == 0 {
		_ = out.Indent()
	}
	return out
}

func orNull(rng *rand.Rand, s string) string {
	if s == "" {
		return "null"
	}
	return spell(rng, s)
}

func logprobs(rng *rand.Rand, tokens []string) string {
	if len(tokens) == 0 {
		return "null"
	}
	items := make([]string, len(tokens))
	for i, token := range tokens {
		items[i] = `{"token":` + spell(rng, token) + `,"logprob":-0.1,"bytes":null,"top_logprobs":[]}`
	}
	return `{"content":[` + strings.Join(items, ",") + `],"refusal":null}`
}

// stream writes an answer as a provider streams it: the choices interleaved,
// texts in pieces cut between any two characters.
func (a answer) stream(rng *rand.Rand, usage bool) []byte {
	queues := make([][]string, len(a.Choices))
	left := 0
	for i, s := range a.Choices {
		queues[i] = s.deltas(rng, i)
		left += len(queues[i])
	}
	var b strings.Builder
	chunk := func(rest string) {
		padding := ""
		if rng.IntN(3) == 0 {
			padding = fmt.Sprintf(`,"obfuscation":"%d"`, rng.IntN(1e6))
		}
		fmt.Fprintf(&b, "data: {\"id\":%q,\"object\":\"chat.completion.chunk\",\"created\":%d,\"model\":%q,\"system_fingerprint\":\"fp\","+
			"%s%s}\n\n", a.ID, a.Created, a.Model, rest, padding)
	}
	for left > 0 {
		i := rng.IntN(len(queues))
		if len(queues[i]) == 0 {
			continue
		}
		chunk(`"choices":[` + queues[i][0] + `],"usage":null`)
		queues[i] = queues[i][1:]
		left--
	}
	if usage && a.Usage != nil {
		chunk(`"choices":[],"usage":` + string(a.Usage))
	}
	b.WriteString("data: [DONE]\n\n")
	return []byte(b.String())
}

func (s said) deltas(rng *rand.Rand, index int) []string {
	var out []string
	add := func(delta, probs string) {
		out = append(out, fmt.Sprintf(`{"index":%d,"delta":{%s},"logprobs":%s,"finish_reason":null}`, index, delta, probs))
	}
	add(`"role":"assistant","content":"","refusal":null`, "null")
	for _, piece := range pieces(rng, s.Reasoning) {
		add(`"reasoning_content":`+spell(rng, piece), "null")
	}
	if len(s.Logprobs) > 0 {
		for _, token := range s.Logprobs {
			add(`"content":`+spell(rng, token), logprobs(rng, []string{token}))
		}
	} else {
		for _, piece := range pieces(rng, s.Content) {
			add(`"content":`+spell(rng, piece), "null")
		}
	}
	for n, c := range s.Calls {
		add(fmt.Sprintf(`"tool_calls":[{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":""}}]`, n, c.ID, c.Name), "null")
		for _, piece := range pieces(rng, c.Arguments) {
			add(fmt.Sprintf(`"tool_calls":[{"index":%d,"function":{"arguments":%s}}]`, n, spell(rng, piece)), "null")
		}
	}
	return append(out, fmt.Sprintf(`{"index":%d,"delta":{},"logprobs":null,"finish_reason":%q}`, index, s.Finish))
}

func pieces(rng *rand.Rand, s string) []string {
	var out []string
	for runes := []rune(s); len(runes) > 0; {
		n := 1 + rng.IntN(min(6, len(runes)))
		out = append(out, string(runes[:n]))
		runes = runes[n:]
	}
	return out
}
