package tokens

import (
	"github.com/tiktoken-go/tokenizer/codec"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const (
	// maxCounted bounds the text, in bytes, that one estimate really counts.
	maxCounted = 64 << 10
	// A text that does not fit any more is sampled in windows spread over it.
	windows    = 8
	windowSize = 1 << 10
	// perText is charged for each text beside its length, so that many short ones
	// are bounded too.
	perText = 16
)

// tally adds up the tokens of one request or answer.
type tally struct {
	codec   *codec.Codec
	budget  int   // bytes that may still be counted
	counted int64 // bytes that were
	seen    int64 // tokens in those
	tokens  int64 // of everything, extrapolated included
}

// add adds tokens that need no counting.
func (t *tally) add(n int64) { t.tokens += n }

// text adds the tokens of a text. Where the budget is not enough for all of it,
// samples tell how many tokens it has; where nothing is left, the texts before it.
func (t *tally) text(s string) {
	switch {
	case s == "":
	case len(s) <= t.budget:
		t.tokens += t.count(s)
	case t.budget >= windows*windowSize:
		t.tokens += t.sample(s)
	default:
		t.tokens += t.extrapolate(int64(len(s)))
	}
}

// count counts a text exactly and charges it to the budget.
func (t *tally) count(s string) int64 {
	n, err := t.codec.Count(s)
	if err != nil { // the splitting expression gave up
		n = int(Guess(len(s)))
	}
	t.budget -= len(s) + perText
	t.counted += int64(len(s))
	t.seen += int64(n)
	return int64(n)
}

func (t *tally) sample(s string) int64 {
	var tokens, bytes int64
	for i := range windows {
		piece := s[upstream.RuneStart(s, i*(len(s)-windowSize)/(windows-1)):]
		piece = piece[:upstream.RuneStart(piece, windowSize)]
		tokens += t.count(piece)
		bytes += int64(len(piece))
	}
	return tokens * int64(len(s)) / max(bytes, 1)
}

func (t *tally) extrapolate(bytes int64) int64 {
	if t.counted == 0 {
		return Guess(int(bytes))
	}
	return bytes * t.seen / t.counted
}
