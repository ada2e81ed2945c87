package tokens

import (
	"strings"
	"sync"

	"github.com/tiktoken-go/tokenizer/codec"
)

// Counter counts tokens by OpenAI's encodings. It is safe for concurrent use.
// Each vocabulary takes some 100 ms to load, once per process, when it is first
// needed: see [Counter.Warm].
type Counter struct {
	o200k, cl100k func() *codec.Codec
}

// New returns a Counter that has loaded nothing yet.
func New() *Counter {
	return &Counter{o200k: sync.OnceValue(codec.NewO200kBase), cl100k: sync.OnceValue(codec.NewCl100kBase)}
}

// Warm loads the vocabulary of current models. Call it off the request path.
func (c *Counter) Warm() { c.o200k() }

// codec returns the encoding of a model, named as its provider names it. Models
// of other vendors are counted by OpenAI's current one.
func (c *Counter) codec(model string) *codec.Codec {
	if older(model[strings.LastIndexByte(model, '/')+1:]) {
		return c.cl100k()
	}
	return c.o200k()
}

// older reports whether a model uses cl100k.
func older(name string) bool {
	switch {
	case strings.HasPrefix(name, "gpt-4o"), strings.HasPrefix(name, "gpt-4.1"), strings.HasPrefix(name, "gpt-4.5"):
		return false
	}
	for _, prefix := range [...]string{"gpt-4", "gpt-3.5", "gpt-35", "text-embedding-", "text-davinci", "davinci", "babbage"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Count returns the tokens of a text for a model. Texts over 64 KiB are
// extrapolated.
func (c *Counter) Count(model, text string) int64 {
	t := tally{codec: c.codec(model), budget: maxCounted}
	t.text(text)
	return t.tokens
}

// Guess returns a number of tokens that so many bytes of JSON or text hold, by a
// rule of thumb and in no time: four bytes a token, which is right within a third
// for English and for code. Other languages take two to three bytes a token, but
// more bytes a character, and come out a little low; base64 comes out high. Use
// it to reserve room in a limit that is settled with the real usage later.
func Guess(bytes int) int64 { return (int64(bytes) + 3) / 4 }
