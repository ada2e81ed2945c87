package ollama

import "unicode"

// thought estimates the tokens of a thinking text as it passes: Ollama counts
// them with the answer's and does not part the two. It counts the pieces that
// tokenizers cut a text into before anything else (a word with the space or the
// one sign before it, a few digits, a run of signs), and holds nothing of the
// text.
type thought struct {
	tokens int64
	last   class // of the last character
	run    int   // characters of that class in a row
	joined bool  // the run goes on from the space before it
}

type class uint8

const (
	nothing class = iota
	space
	letter
	ideograph // a script without spaces: about a token a character
	digit
	sign
)

// Longest pieces, in characters: longer runs are several tokens.
const (
	longestWord   = 14
	longestNumber = 3
	longestSigns  = 4
)

// add takes the next part of the text.
func (t *thought) add(text string) {
	for _, r := range text {
		t.next(classOf(r))
	}
}

func (t *thought) next(c class) {
	if c == t.last && c != ideograph && t.run < longest(c) {
		t.run++
		return
	}
	spaced := t.last == space && c != digit && c != space              // " word"
	signed := t.last == sign && t.run == 1 && !t.joined && c == letter // "'s", "_name", "(word"
	if !spaced && !signed {
		t.tokens++
	}
	t.last, t.run, t.joined = c, 1, spaced
}

func longest(c class) int {
	switch c {
	case letter:
		return longestWord
	case digit:
		return longestNumber
	case sign:
		return longestSigns
	}
	return 1 << 30
}

func classOf(r rune) class {
	switch {
	case unicode.IsSpace(r):
		return space
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai):
		return ideograph
	case unicode.IsLetter(r), unicode.IsMark(r):
		return letter
	case unicode.IsDigit(r):
		return digit
	}
	return sign
}
