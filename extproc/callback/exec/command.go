package exec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// HooksVariable is the variable before a command that lists the hooks it wants.
const HooksVariable = "ISTHMUS_HOOKS"

// Command is a command line as a user writes it behind "exec:".
type Command struct {
	Env   []string        // NAME=VALUE words before the program
	Words []string        // program and arguments
	Hooks []callback.Hook // wanted: what ISTHMUS_HOOKS lists, else all but stream_event
}

// Parse reads a command line. Words of the form NAME=VALUE before the program
// are its environment, beside the gateway's own.
func Parse(line string) (Command, error) {
	words, err := Split(line)
	if err != nil {
		return Command{}, err
	}
	c := Command{Hooks: []callback.Hook{callback.PreAPICall, callback.PostAPICall, callback.SuccessEvent, callback.FailureEvent}}
	for len(words) > 0 && assignment(words[0]) {
		if list, ok := strings.CutPrefix(words[0], HooksVariable+"="); ok {
			if c.Hooks, err = readHooks(list); err != nil {
				return Command{}, err
			}
		}
		c.Env, words = append(c.Env, words[0]), words[1:]
	}
	if len(words) == 0 {
		return Command{}, errors.New("no program")
	}
	c.Words = words
	return c, nil
}

func assignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && name != "" && !strings.ContainsAny(name, "/.-")
}

func readHooks(list string) ([]callback.Hook, error) {
	var hooks []callback.Hook
	for name := range strings.SplitSeq(list, ",") {
		switch hook := callback.Hook(strings.TrimSpace(name)); hook {
		case callback.PreAPICall, callback.PostAPICall, callback.StreamEvent, callback.SuccessEvent, callback.FailureEvent:
			hooks = append(hooks, hook)
		default:
			return nil, fmt.Errorf("%s: no hook is called %q", HooksVariable, name)
		}
	}
	return hooks, nil
}

// Split splits a command line into words: at spaces, but not within single or
// double quotes; a backslash takes the next character as it is, except within
// single quotes.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote byte
	var started, escaped bool
	for _, c := range []byte(line) { // not runes: a file name may be no UTF-8
		switch {
		case escaped:
			word.WriteByte(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, started = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, started = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if started {
				words = append(words, word.String())
				word.Reset()
			}
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed, or a backslash stands at the end")
	}
	if started {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errors.New("no command")
	}
	return words, nil
}
