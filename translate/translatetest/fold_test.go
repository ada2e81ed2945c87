package translatetest

import (
	"strings"
	"testing"
)

const streamed = "-- answer-stream --\n200\n\n" + `{"object":"chat.completion","choices":[
  {"index":0,"message":{"role":"assistant","content":"ab","reasoning_content":"t","tool_calls":[{"id":"c1","function":{"name":"f",
"arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"}],
  "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}` + "\n"

// chunks makes a stream of chunks from their choices' members; other events are
// given whole.
func chunks(list ...string) []byte {
	var b strings.Builder
	for _, text := range list {
		switch {
		case text == "[DONE]" || strings.HasPrefix(text, "{\"error"):
		case strings.HasPrefix(text, "{"):
			text = `{"id":"1","choices":[],` + text[1:]
		default:
			text = `{"id":"1","choices":[{"index":0,` + text + `}]}`
		}
		b.WriteString("data: " + text + "\n\n")
	}
	return []byte(b.String())
}

const (
	first  = `"delta":{"role":"assistant","reasoning_content":"t"}`
	second = `"delta":{"content":"a"}`
	third  = `"delta":{"content":"b"}`
	begins = `"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}`
	goes   = `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}}]}`
	ends   = `"delta":{},"finish_reason":"tool_calls"`
	counts = `{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`
	done   = "[DONE]"
)

func TestCompareStreamAddsUpTheChunks(t *testing.T) {
	x := parsed(t, "openai", "{}", streamed)
	check(t, x.CompareAnswer(Answer{Status: 200, Body: chunks(first, second, third, begins, goes, ends, counts, done)}))
	check(t, x.CompareAnswer(Answer{Status: 200, Body: chunks(first, `"delta":{"content":"ab"}`, begins, goes, ends, counts, done)}))
}

func TestCompareStreamHoldsItToWhatClientsRelyOn(t *testing.T) {
	x := parsed(t, "openai", "{}", streamed)
	for name, tc := range map[string]struct {
		stream []byte
		want   string
	}{
		"[DONE] is missing":            {chunks(first, second, third, begins, goes, ends, counts), "/stream: no [DONE]"},
		"data after [DONE]":            {chunks(first, second, third, begins, goes, ends, done, counts), "/stream: data after"},
		"the role is missing":          {chunks(second, first, third, begins, goes, ends, counts, done), "/stream: choice 0: the first delta"},
		"the text differs":             {chunks(first, second, begins, goes, ends, counts, done), "/folded/choices/0/message/content"},
		"the finish reason is missing": {chunks(first, second, third, begins, goes, counts, done), "/folded/choices/0/finish_reason"},
		"two finish reasons":           {chunks(first, second, third, begins, goes, ends, ends, counts, done), "/stream: choice 0: two"},
		"content after the end":        {chunks(first, second, begins, goes, ends, third, counts, done), "/stream: choice 0: a delta after"},
		"usage is missing":             {chunks(first, second, third, begins, goes, ends, done), "/folded/usage"},
		"choices after usage":          {chunks(first, second, third, begins, goes, counts, ends, done), "/stream: choices after"},
		"a call without an index": {
			chunks(first, second, third, `"delta":{"tool_calls":[{"id":"c1"}]}`, ends, counts, done), "/stream: choice 0: a tool call without",
		},
		"a call without a name": {chunks(first, second, third, goes, ends, counts, done), "/stream: choice 0: a tool call begins"},
		"a call's index skips a number": {
			chunks(first, second, third, strings.Replace(begins, `"index":0`, `"index":1`, 1), ends, counts, done), "/stream: tool call indices",
		},
		"a call changes its id": {
			chunks(first, second, third, begins, strings.Replace(goes, `"index":0`, `"index":0,"id":"c2"`, 1), ends, counts, done),
			"/stream: choice 0: a tool call changes",
		},
		"the id changes": {append(chunks(first, second), `data: {"id":"2","choices":[]}`+"\n\n"...), "/stream: chunks of one answer"},
		"an event is no JSON": {
			append([]byte("data: {\n\n"), chunks(first, second, third, begins, goes, ends, counts, done)...), "/stream: an event that is no chunk",
		},
		"an error event": {chunks(first, second, third, begins, goes, ends, `{"error":{"message":"m"}}`, done), "/stream: unexpected error"},
		"nothing at all": {nil, "/stream: no [DONE]"},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, x.CompareAnswer(Answer{Status: 200, Body: tc.stream}), tc.want)
		})
	}
}

func TestCompareStreamWantsTheErrorAStreamEndsWith(t *testing.T) {
	x := parsed(t, "openai", "{}", "-- answer-stream --\n200\n\n"+
		`{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":null}]}`+
		"\n-- stream-error --\n"+`{"message_contains":["overloaded"]}`+"\n")
	begin, fault := `"delta":{"role":"assistant","content":"a"}`, `{"error":{"message":"overloaded","type":"server_error"}}`
	check(t, x.CompareAnswer(Answer{Status: 200, Body: chunks(begin, fault)}))
	check(t, x.CompareAnswer(Answer{Status: 200, Body: chunks(begin, done)}), "/stream/error")
	check(t, x.CompareAnswer(Answer{Status: 200, Body: chunks(fault)}), "/folded/choices")
	check(t, x.CompareAnswer(Answer{Status: 200, Body: chunks(begin, `{"error":{"message":"x","type":"y"}}`)}), "/stream/error/message")
}

func TestParseRefusesABrokenCase(t *testing.T) {
	for name, text := range map[string]string{
		"no comment":           "-- config --\n{}\n",
		"a part is missing":    "c\n-- config --\n{\"model\":\"a/b\"}\n",
		"an unknown section":   "c\n-- answers --\n{}\n",
		"an unknown directive": "c\n-- upstream-answer --\n200\n@x\n\n{}\n",
		"a cut beyond the end": "c\n-- upstream-answer --\n200\n@cut at 9\n\n{}\n",
		"an unknown rule":      "c\n-- lenient --\n/a maybe\n",
		"a request alone": strings.Replace(strings.ReplaceAll(golden, "BODY", "{}"),
			"-- upstream-answer --\n200\ncontent-type: application/json\n\n{}\n", "-- answer --\n200\n\n{}\n", 1),
		"a status that is not 1": "c\n-- answer --\nok\n\n{}\n",
	} {
		if _, err := Parse("x", []byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
