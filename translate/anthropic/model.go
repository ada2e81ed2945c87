package anthropic

import (
	"strconv"
	"strings"
)

// traits are what a model's name says about the forms it takes.
type traits struct {
	claude       bool // not: another maker's model behind the same API
	opus         bool
	major, minor int // 0, 0: the name has no version
}

// traitsOf reads a model name, in the old order ("claude-3-7-sonnet-20250219"),
// the new one ("claude-opus-4-7") or with dots ("claude-sonnet-4.5").
func traitsOf(model string) traits {
	name := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	t := traits{claude: strings.Contains(name, "claude"), opus: strings.Contains(name, "opus")}
	if !t.claude {
		return t
	}
	words := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("-._@:", r) })
	for i, word := range words {
		if t.major = version(word); t.major == 0 {
			continue
		}
		if i+1 < len(words) {
			t.minor = version(words[i+1])
		}
		break
	}
	return t
}

// version reads a version number; what is longer is a date: 0.
func version(word string) int {
	if len(word) > 2 {
		return 0
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		return 0
	}
	return n
}

// atLeast reports whether the model is of that version or later. A Claude
// without a version is taken for a current one, an unknown name for none.
func (t traits) atLeast(major, minor int) bool {
	if t.major == 0 {
		return t.claude
	}
	return t.major > major || t.major == major && t.minor >= minor
}

// thinks reports whether the model takes the thinking parameter. Unknown models that
// speak this API mostly do.
func (t traits) thinks() bool { return !t.claude || t.atLeast(3, 7) }

// adaptive reports whether the model decides itself how long to think, guided by
// an effort; earlier ones are given a budget of tokens.
// https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
func (t traits) adaptive() bool { return t.atLeast(4, 6) }

// adaptiveOnly reports whether the model refuses a budget of tokens. These are the
// models that refuse sampling parameters too.
func (t traits) adaptiveOnly() bool { return t.fixedSampling() }

// extraHigh reports whether the model has the effort "xhigh".
func (t traits) extraHigh() bool { return t.atLeast(4, 7) }

// fixedSampling reports whether the model refuses temperature (but 1), top_p and
// top_k.
func (t traits) fixedSampling() bool {
	return t.major >= 5 || t.opus && t.major == 4 && t.minor >= 7
}

// structured reports whether the model takes a schema for its answer and strict
// tools. https://platform.claude.com/docs/en/build-with-claude/structured-outputs
func (t traits) structured() bool { return t.atLeast(4, 5) }

// unknownOutput is the limit sent for a model that this table does not know.
const unknownOutput = 4096

// maxOutput returns the most tokens the model writes: Anthropic has no default
// for max_tokens. https://platform.claude.com/docs/en/about-claude/models/overview
func (t traits) maxOutput() int {
	switch {
	case t.major == 0 || t.major < 3:
		return unknownOutput
	case t.major == 3 && t.minor < 5:
		return 4096
	case t.major == 3 && t.minor < 7:
		return 8192
	case t.opus && t.major == 4 && t.minor < 5:
		return 32000
	case t.atLeast(4, 6):
		return 128000
	}
	return 64000
}
