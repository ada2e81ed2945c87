package providers

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// This file is the model that every strict provider plays. It answers by the last thing the
// user said:
//
//	hello          a greeting in three pieces
//	fail N words…  status N with these words
//	break          half an answer, then an error inside the stream
//	look           what it sees in the image
//	compare …      an agent's conversation with tools, see agent
//	thanks …       the end of that conversation
//
// A schema for the answer is filled in; a completion and an embedding are made of
// their input.

// bare marks a client that keeps of an answer only what OpenAI defines: thoughts
// and signatures are lost on it.
const bare = "(bare)"

// tinyPNG is the image that clients send: one pixel, base64.
const tinyPNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func play(c *conversation) (reply, error) {
	switch c.kind {
	case "embeddings":
		return embed(c.inputs), nil
	case "completions":
		return reply{text: []string{"…", "and so on"}}, nil
	}
	ask := lastAsked(c)
	word, rest, _ := strings.Cut(ask, " ")
	switch {
	case word == "fail":
		status, message, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(status)
		return reply{status: n, message: message}, err
	case word == "break":
		return reply{text: []string{"Half", " an answer"}, breaks: true, message: "scripted break"}, nil
	case c.schema != nil:
		return fill(c)
	case word == "look":
		return look(c)
	case word == "compare", word == "thanks":
		return agent(c, ask)
	case word == "hello":
		return greet(c)
	}
	return reply{}, fmt.Errorf("the conversation has no line after %q", ask)
}

// lastAsked is the last text of the user.
func lastAsked(c *conversation) string {
	for _, m := range slices.Backward(c.messages) {
		if m.role == "user" && m.text != "" {
			return m.text
		}
	}
	return ""
}

func greet(c *conversation) (reply, error) {
	r := reply{text: []string{"Good day", " to you,", " dear client — ☕"}}
	if c.thinks {
		r.thoughts = []thought{{text: "They greet me.", signature: "sig-greeting"}}
	}
	if c.system != "" && c.system != "Be brief." {
		return r, fmt.Errorf("system = %q", c.system)
	}
	return r, nil
}

func embed(inputs []string) reply {
	r := reply{}
	for _, text := range inputs {
		r.vectors = append(r.vectors, []float64{0.25, -0.5, float64(len(text))})
	}
	return r
}

func fill(c *conversation) (reply, error) {
	for _, word := range []string{`"city"`, `"celsius"`} {
		if !strings.Contains(string(c.schema), word) {
			return reply{}, fmt.Errorf("the schema of the answer lacks %s: %s", word, c.schema)
		}
	}
	return reply{text: []string{`{"city":"Par`, `is","celsius":12}`}}, nil
}

func look(c *conversation) (reply, error) {
	m := c.messages[len(c.messages)-1]
	if len(m.images) != 1 || m.images[0] != tinyPNG {
		return reply{}, fmt.Errorf("the message has these images, not the one that was sent: %q", m.images)
	}
	return reply{text: []string{"I see ", "one pixel."}}, nil
}

// The agent's conversation: a question, two rounds of two calls, an answer made of what
// the tools said, and a word of thanks after it, with everything before still in
// the conversation.
func acts() []reply {
	return []reply{
		{
			thoughts: []thought{{text: "Two cities, two look-ups.", signature: "sig-act-one"}},
			text:     []string{"Let me ", "look."},
			calls: []toolCall{
				{id: "call_a1", name: "get_weather", arguments: `{"city":"Paris"}`, signature: "sig-call-one"},
				{id: "call_b2", name: "get_weather", arguments: `{"city":"Oslo","unit":"°C"}`},
			},
		},
		{
			thoughts: []thought{{text: "They want Fahrenheit.", signature: "sig-act-two"}, {redacted: "c2VjcmV0"}},
			calls: []toolCall{
				{id: "call_c3", name: "to_fahrenheit", arguments: `{"celsius":12}`, signature: "sig-call-two"},
				{id: "call_d4", name: "to_fahrenheit", arguments: `{"celsius":3}`},
			},
		},
	}
}

// agent plays the next act, after it has checked that the conversation is the one
// it remembers.
func agent(c *conversation, ask string) (reply, error) {
	if !slices.Contains(c.tools, "get_weather") || !slices.Contains(c.tools, "to_fahrenheit") {
		return reply{}, fmt.Errorf("these tools are offered: %q", c.tools)
	}
	script := acts()
	act, results := 0, []string(nil)
	for i := 0; i < len(c.messages); i++ {
		m := c.messages[i]
		if m.role != "assistant" || len(m.calls) == 0 {
			continue
		}
		if act >= len(script) {
			return reply{}, fmt.Errorf("the conversation has more calls than were made")
		}
		if err := remembers(c, m, script[act]); err != nil {
			return reply{}, fmt.Errorf("act %d: %w", act+1, err)
		}
		answers := c.messages[i+1 : min(i+1+len(m.calls), len(c.messages))]
		if err := matches(m.calls, answers); err != nil {
			return reply{}, fmt.Errorf("act %d: %w", act+1, err)
		}
		results = nil
		for _, a := range answers {
			results = append(results, a.text)
		}
		act++
	}
	if act < len(script) {
		return script[act], nil
	}
	if strings.HasPrefix(ask, "thanks") {
		return thanked(c)
	}
	return verdict(results), nil
}

// remembers checks that a message of the assistant is what it said then.
func remembers(c *conversation, m said, was reply) error {
	if m.text != was.all() {
		return fmt.Errorf("I said %q, not %q", was.all(), m.text)
	}
	if len(m.calls) != len(was.calls) {
		return fmt.Errorf("I made %d calls, not %d", len(was.calls), len(m.calls))
	}
	for i, call := range m.calls {
		if call.name != was.calls[i].name || !sameJSON(call.arguments, was.calls[i].arguments) {
			return fmt.Errorf("I called %s %s, not %s %s", was.calls[i].name, was.calls[i].arguments, call.name, call.arguments)
		}
	}
	if c.memory != nil {
		return c.memory(m, was)
	}
	return nil
}

// sameJSON compares arguments: some clients write them anew.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// matches checks that each call is answered, in order and under its id.
func matches(calls []toolCall, answers []said) error {
	if len(answers) < len(calls) {
		return fmt.Errorf("%d calls have %d answers", len(calls), len(answers))
	}
	ids := map[string]bool{}
	for i, a := range answers {
		call := calls[i]
		switch {
		case a.role != "tool":
			return fmt.Errorf("call %d is followed by a message of %s", i, a.role)
		case a.id != call.id:
			return fmt.Errorf("call %d has the id %q, its answer %q", i, call.id, a.id)
		case a.name != "" && a.name != call.name:
			return fmt.Errorf("call %d is of %s, its answer of %s", i, call.name, a.name)
		case call.id != "" && ids[call.id]:
			return fmt.Errorf("the id %s comes twice", call.id)
		case !strings.Contains(a.text, toolSays(call)):
			return fmt.Errorf("the tool said %s, not %s", toolSays(call), a.text)
		}
		ids[call.id] = true
	}
	return nil
}

// toolSays is what the clients' tools answer: a JSON object and plain text.
func toolSays(c toolCall) string {
	switch {
	case c.name == "get_weather" && strings.Contains(c.arguments, "Paris"):
		return `"celsius":12`
	case c.name == "get_weather":
		return `"celsius":3`
	case strings.Contains(c.arguments, "12"):
		return "53.6 °F"
	}
	return "37.4 °F"
}

// verdict is the answer that the agent comes to.
func verdict(results []string) reply {
	return reply{text: []string{"Paris: ", results[0], ", Oslo: ", results[1]}, signature: "sig-text"}
}

func thanked(c *conversation) (reply, error) {
	last := c.messages[len(c.messages)-2]
	was := verdict([]string{"53.6 °F", "37.4 °F"})
	if last.role != "assistant" {
		return reply{}, fmt.Errorf("before the thanks stands a message of %s", last.role)
	}
	if err := remembers(c, last, was); err != nil {
		return reply{}, fmt.Errorf("my answer: %w", err)
	}
	return reply{text: []string{"You are ", "welcome."}}, nil
}

// keepsAll reports whether a client gives back all that it got.
func keepsAll(c *conversation) bool {
	return !slices.ContainsFunc(c.messages, func(m said) bool { return m.role == "user" && strings.Contains(m.text, bare) })
}
