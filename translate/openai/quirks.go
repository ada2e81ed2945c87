package openai

import (
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Quirks says how a server departs from OpenAI's format. The zero value departs
// in nothing. It is data: what each field does stands in param.go (parameters),
// message.go and tool.go (what is inside messages and tools) and answer.go. All
// but ModelPrefix concern chat completions only.
type Quirks struct {
	ModelPrefix string // put before a model name that has no "accounts/" yet (Fireworks)

	Lacks   []string     // OpenAI's parameters that the server does not have
	Models  []ModelLacks // the same, for some of its models
	Renames []Rename     // parameters that have another name
	Values  []Value      // values of parameters that have another name
	Adds    []upstream.Param

	NoStreamOptions bool // refuses stream_options, and reports usage in streams unasked
	NoNamedTool     bool // tool_choice cannot name a function: it becomes "any"
	Thinking        bool // reasoning_effort also switches thinking on or off (DeepSeek)

	Plain        bool     // refuses cache_control and this gateway's extensions in messages and tools
	CacheModels  []string // models (parts of their names) that take cache_control, in content parts only, although Plain
	Drop         []string // members of messages that are not sent; "name" stays in tool messages
	NoNulls      bool     // refuses null members of messages
	NoEmptyTurns bool     // refuses assistant messages that say nothing and call nothing
	TextContent  bool     // content of text parts only must be a string
	ShortCallIDs bool     // tool-call ids are nine letters and digits
	NoToolStrict bool     // refuses strict in tools
	PlainSchemas bool     // refuses $id, $schema, strict and additionalProperties: false in tool schemas

	Reasoning    bool     // the answer's reasoning_content is called reasoning
	ContentLists bool     // the answer's content may be a list of text and thinking chunks
	Finish       []Rename // finish reasons that have another name
	EmptyFinish  bool     // the finish reason of tool calls may be ""
}

// Rename is one name and what it becomes.
type Rename struct{ From, To string }

// Value is one string value of a parameter and what it becomes.
type Value struct{ Param, From, To string }

// ModelLacks lists the parameters that models with Model in their names lack.
type ModelLacks struct {
	Model string
	Lacks []string
}

// quirksOf returns the quirks of a provider; those that are not in the table
// (Azure) have none.
func quirksOf(provider string) *Quirks {
	for i := range family {
		if family[i].Name == provider {
			return &family[i].Quirks
		}
	}
	return &Quirks{}
}

// lacks returns the parameters that a model of the server lacks.
func (q *Quirks) lacks(model string) []string {
	out := q.Lacks
	for _, m := range q.Models {
		if strings.Contains(model, m.Model) {
			out = slices.Concat(out, m.Lacks)
		}
	}
	return out
}

// rename returns the server's name of a parameter.
func (q *Quirks) rename(name string) string {
	for _, r := range q.Renames {
		if r.From == name {
			return r.To
		}
	}
	return name
}

// cacheControl reports whether a model of the server takes cache_control.
func (q *Quirks) cacheControl(model string) bool {
	return slices.ContainsFunc(q.CacheModels, func(part string) bool { return strings.Contains(model, part) })
}

// rewritesAnswers reports whether answers need changes, so that they cannot be
// relayed byte for byte.
func (q *Quirks) rewritesAnswers() bool {
	return q.Reasoning || q.ContentLists || q.EmptyFinish || len(q.Finish) > 0
}
