package chat

import (
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/sse"
)

func appendEvent(dst, data []byte) []byte { return sse.Append(dst, data) }

// appendHead opens an answer or a chunk up to its choices.
func (w *Writer) appendHead(dst []byte, object string) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, w.id())
	dst = append(dst, `,"object":"`...)
	dst = append(dst, object...)
	dst = append(dst, `","created":`...)
	dst = strconv.AppendInt(dst, w.created, 10)
	dst = append(dst, `,"model":`...)
	dst = appendString(dst, w.result.Model)
	return append(dst, `,"choices":[`...)
}

func (w *Writer) appendChunkHead(dst []byte) []byte {
	dst = append(dst, "data: "...)
	if w.legacy {
		return w.appendHead(dst, "text_completion")
	}
	return w.appendHead(dst, "chat.completion.chunk")
}

// openDelta returns what is ready for the client with a chunk up to the value of
// the one member in its delta, which is for the caller to append. The first delta
// of a choice carries the role.
func (w *Writer) openDelta(index int, name string) []byte {
	out := w.appendChunkHead(w.out)
	out = append(out, `{"index":`...)
	out = strconv.AppendInt(out, int64(index), 10)
	out = append(out, `,"delta":{`...)
	if c := &w.choices[index]; !c.begun {
		c.begun = true
		out = append(out, `"role":"assistant",`...)
	}
	out = appendString(out, name)
	return append(out, ':')
}

func (w *Writer) closeDelta() {
	w.out = append(w.out, "},\"finish_reason\":null}]}\n\n"...)
}

func (w *Writer) appendFinishChunk(dst []byte, index int) []byte {
	c := &w.choices[index]
	if w.legacy {
		return w.appendLegacyChunk(dst, index, "", c.finish)
	}
	dst = w.appendChunkHead(dst)
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"delta":{`...)
	if !c.begun {
		c.begun = true
		dst = append(dst, `"role":"assistant"`...)
	}
	dst = append(dst, `},"finish_reason":`...)
	dst = appendString(dst, c.finish)
	return append(dst, "}]}\n\n"...)
}

func (w *Writer) appendLogprobsChunk(dst []byte, index int, items []byte) []byte {
	dst = w.appendChunkHead(dst)
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"delta":{`...)
	if c := &w.choices[index]; !c.begun {
		c.begun = true
		dst = append(dst, `"role":"assistant"`...)
	}
	dst = append(dst, `},"logprobs":{"content":[`...)
	dst = append(dst, items...)
	return append(dst, "]},\"finish_reason\":null}]}\n\n"...)
}

func (w *Writer) appendLegacyChunk(dst []byte, index int, text, finish string) []byte {
	dst = w.appendChunkHead(dst)
	dst = appendLegacyChoice(dst, index, text, finish)
	return append(dst, "]}\n\n"...)
}

func appendLegacyChoice(dst []byte, index int, text, finish string) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"text":`...)
	dst = appendString(dst, text)
	dst = append(dst, `,"logprobs":null,"finish_reason":`...)
	if finish == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, finish)
	}
	return append(dst, '}')
}

func (w *Writer) appendUsageChunk(dst []byte) []byte {
	dst = w.appendChunkHead(dst)
	dst = append(dst, `],"usage":`...)
	dst = appendUsage(dst, w.result.Usage)
	return append(dst, "}\n\n"...)
}

// appendAnswer writes the whole blocking answer.
func (w *Writer) appendAnswer(dst []byte) []byte {
	object := "chat.completion"
	if w.legacy {
		object = "text_completion"
	}
	dst = w.appendHead(dst, object)
	for i := range w.choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		if w.legacy {
			dst = appendLegacyChoice(dst, i, string(w.choices[i].text), w.choices[i].finish)
			continue
		}
		dst = w.choices[i].appendJSON(dst, i)
	}
	dst = append(dst, ']')
	if w.result.HasUsage {
		dst = append(dst, `,"usage":`...)
		dst = appendUsage(dst, w.result.Usage)
	}
	return append(dst, '}')
}

func (c *choice) appendJSON(dst []byte, index int) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"message":{"role":"assistant","content":`...)
	if len(c.text) > 0 {
		dst = appendString(dst, string(c.text))
	} else {
		dst = append(dst, "null"...)
	}
	if len(c.refusal) > 0 {
		dst = append(dst, `,"refusal":`...)
		dst = appendString(dst, string(c.refusal))
	}
	if len(c.reasoning) > 0 {
		dst = append(dst, `,"reasoning_content":`...)
		dst = appendString(dst, string(c.reasoning))
	}
	if len(c.thinking) > 0 {
		dst = append(dst, `,"thinking_blocks":`...)
		dst = appendThinking(dst, c.thinking)
	}
	if len(c.calls) > 0 {
		dst = append(dst, `,"tool_calls":`...)
		dst = appendCalls(dst, -1, c.calls...)
	}
	for _, e := range c.extra {
		dst = append(dst, ',')
		dst = appendString(dst, e.Name)
		dst = append(dst, ':')
		dst = append(dst, e.Value...)
	}
	dst = append(dst, '}')
	if len(c.logprobs) > 0 {
		dst = append(dst, `,"logprobs":{"content":[`...)
		dst = append(dst, c.logprobs...)
		dst = append(dst, "]}"...)
	}
	dst = append(dst, `,"finish_reason":`...)
	dst = appendString(dst, c.finish)
	return append(dst, '}')
}

// appendCalls writes an array of tool calls; streaming deltas carry an index,
// which starts at first (-1: no index).
func appendCalls(dst []byte, first int, calls ...Call) []byte {
	dst = append(dst, '[')
	for i, call := range calls {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		if first >= 0 {
			dst = append(dst, `"index":`...)
			dst = strconv.AppendInt(dst, int64(first+i), 10)
			dst = append(dst, ',')
		}
		dst = append(dst, `"id":`...)
		dst = appendString(dst, call.ID)
		dst = append(dst, `,"type":"function","function":{"name":`...)
		dst = appendString(dst, call.Name)
		dst = append(dst, `,"arguments":`...)
		dst = appendString(dst, call.Arguments)
		dst = append(dst, '}')
		if call.Signature != "" {
			dst = append(dst, `,"provider_specific_fields":{"thought_signature":`...)
			dst = appendString(dst, call.Signature)
			dst = append(dst, '}')
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendArguments(dst []byte, n int, fragment string) []byte {
	dst = append(dst, `[{"index":`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, `,"function":{"arguments":`...)
	dst = appendString(dst, fragment)
	return append(dst, "}}]"...)
}

func appendThinking(dst []byte, blocks []ThinkingBlock) []byte {
	text, err := json.Marshal(blocks)
	if err != nil { // invalid UTF-8 in a block: its signature would not match anyway
		return append(dst, "[]"...)
	}
	return append(dst, text...)
}
