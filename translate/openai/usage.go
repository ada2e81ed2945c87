package openai

import (
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// usageCount adds up what a stream of chunks says of its usage. Servers differ:
//
//   - OpenAI, vLLM, SGLang and most others report once, after all choices.
//   - xAI, Perplexity, and vLLM with continuous_usage_stats report in every chunk, each
//     time from the beginning of the answer: the last report holds.
//   - llama.cpp's server reports once for each choice, with its finish reason or right
//     after it: the reports add up. The prompt is the same one in each.
//
// A report of zeros is no news: some proxies send one at the end.
type usageCount struct {
	counted    bool
	sum        chat.Usage // of the choices that are reported and over
	last       chat.Usage // what was reported since
	at         int64      // how much text had been measured when the last report came, in bytes
	continuous bool       // reports came while the first choice was still running
	closed     bool       // last is a report at the end of a choice
	seen       uint64     // choices that came with a report, by their index
	finished   uint64     // choices that have finished
	finishes   int        // choices that have finished since the last report at an end
}

// finish notes that the choice of this index, a JSON number or "", has finished.
func (c *usageCount) finish(index []byte) {
	if bit := choiceBit(index); c.finished&bit == 0 {
		c.finished |= bit
		c.finishes++
	}
}

func choiceBit(index []byte) uint64 {
	n, _ := strconv.Atoi(string(index))
	return 1 << (uint(n) % 64)
}

// report takes in one report; at is how much text has been measured.
func (c *usageCount) report(u chat.Usage, at int64) {
	c.counted, c.at = true, at
	switch ends := c.finishes > 0; {
	case !ends && c.finished == 0:
		c.continuous = true
	case ends && c.closed && !c.continuous:
		c.sum = added(c.sum, c.last)
		c.last = chat.Usage{}
		fallthrough
	case ends:
		c.closed, c.finishes = true, 0
	}
	c.last = c.last.Updated(u)
}

// total is what was reported so far.
func (c *usageCount) total() chat.Usage {
	if c.sum == (chat.Usage{}) {
		return c.last
	}
	return added(c.sum, c.last)
}

// covers reports whether the last report was made after all of the text, of which so
// much was measured, and after all choices.
func (c *usageCount) covers(text int64) bool {
	return c.at == text && (text == 0 || c.last.Completion > 0) && c.seen&^c.finished == 0
}

// added is the usage of several choices for one prompt.
func added(a, b chat.Usage) chat.Usage {
	u := chat.Usage{
		Prompt: max(a.Prompt, b.Prompt), Completion: a.Completion + b.Completion, Cached: max(a.Cached, b.Cached),
		CacheWrite: max(a.CacheWrite, b.CacheWrite), Reasoning: a.Reasoning + b.Reasoning,
	}
	u.Total = u.Prompt + u.Completion
	return u
}

type chunkHead struct {
	Object  string           `json:"object"`
	Choices []jsontext.Value `json:"choices"`
	Usage   jsontext.Value   `json:"usage"`
	Groq    struct {
		Usage jsontext.Value `json:"usage"`
	} `json:"x_groq"`
	Error jsontext.Value `json:"error"`
}

// usageEvent reads the usage of a chunk and hides it from a client that did
// not ask for it.
func (d *streamDecoder) usageEvent(data []byte) (keep bool, changed []byte) {
	var head chunkHead
	if err := json.Unmarshal(data, &head); err != nil {
		return true, nil
	}
	value := head.Usage
	if value == nil {
		value = head.Groq.Usage
	}
	if u, ok := chat.ParseUsage(value); ok {
		d.usage.report(u, d.meter.Bytes())
		for _, choice := range head.Choices {
			d.usage.seen |= choiceBit(indexOf(choice))
		}
	}
	if !d.hideUsage || head.Usage == nil {
		return true, nil
	}
	if len(head.Choices) == 0 {
		return false, nil
	}
	object, err := jsonedit.Parse(data)
	if err != nil {
		return true, nil
	}
	var edits jsonedit.Edits
	edits.Delete("usage")
	return true, object.Apply(&edits)
}

// indexOf returns the index of a choice as it stands in its text; nil: it has none.
func indexOf(choice []byte) []byte {
	for name, value := range jsonedit.Members(choice) {
		if string(name) == "index" {
			return value
		}
	}
	return nil
}

// choicesOf returns the choices of a chunk, as they stand in its text; nil: it has none.
func choicesOf(chunk []byte) []byte {
	for name, choices := range jsonedit.Members(chunk) {
		if string(name) == "choices" {
			return choices
		}
	}
	return nil
}
