package anthropic

import (
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// minBudget is the least a model may be given to think, in tokens.
const minBudget = 1024

// adaptive lets the model decide how long it thinks. Without "summarized" the
// newest models think in silence.
const adaptive = `{"type":"adaptive","display":"summarized"}`

// reasoning is what a request says about thinking, in Anthropic's words.
type reasoning struct {
	thinking jsontext.Value // nil: do not think
	effort   string         // of output_config
	limit    int            // max_tokens
}

// reason works out thinking and max_tokens, which depend on each other: the
// budget is a part of max_tokens.
// https://platform.claude.com/docs/en/build-with-claude/extended-thinking
func (tr *Translator) reason(c *chat.Completion, p *params) (reasoning, error) {
	r := reasoning{thinking: p.thinking, limit: c.MaxTokens}
	if given := givenBudget(p.thinking); given > 0 && tr.model.adaptiveOnly() {
		p.thinking, r.thinking = jsontext.Value(adaptive), jsontext.Value(adaptive)
		if jsonedit.Find(p.output, "effort") < 0 {
			r.effort = effortOf(given)
		}
	}
	if r.limit == 0 {
		r.limit = tr.model.maxOutput()
	}
	budget, err := budgetOf(c.ReasoningEffort)
	if err != nil {
		return r, err
	}
	switch {
	case p.thinking != nil:
		budget = givenBudget(p.thinking)
	case !tr.model.thinks():
		budget = 0
	}
	if c.MaxTokens == 0 && budget >= r.limit {
		r.limit = budget + unknownOutput
	}
	if budget == 0 {
		return r, nil
	}
	if tr.model.adaptive() {
		r.effort = tr.model.effort(c.ReasoningEffort)
		if r.thinking == nil && !forced(c) {
			r.thinking = jsontext.Value(adaptive)
		}
		return r, nil
	}
	if budget = min(budget, r.limit-1); r.thinking == nil && budget >= minBudget && !forced(c) && replays(c.Messages) {
		r.thinking = strconv.AppendInt([]byte(`{"type":"enabled","budget_tokens":`), int64(budget), 10)
		r.thinking = append(r.thinking, '}')
	}
	return r, nil
}

// budgetOf returns an effort in tokens; the numbers are LiteLLM's.
func budgetOf(effort string) (int, error) {
	switch effort {
	case "", "none", "disable":
		return 0, nil
	case "minimal", "low":
		return minBudget, nil
	case "medium":
		return 2048, nil
	case "high":
		return 4096, nil
	case "xhigh":
		return 8192, nil
	case "max":
		return 16384, nil
	}
	return 0, upstream.BadRequest("reasoning_effort", "'reasoning_effort' must be none, minimal, low, medium, high, xhigh or max")
}

// givenBudget returns the budget of the client's own thinking parameter.
func givenBudget(thinking jsontext.Value) int {
	var w struct {
		Budget int `json:"budget_tokens"`
	}
	if thinking == nil {
		return 0
	}
	_ = json.Unmarshal(thinking, &w) // what is wrong with it Anthropic says better
	return w.Budget
}

// effortOf returns the effort that a budget of tokens stands for: the models that
// decide themselves how long they think refuse a budget.
func effortOf(budget int) string {
	switch {
	case budget < 2048:
		return "low"
	case budget < 4096:
		return "medium"
	case budget < 8192:
		return "high"
	}
	return "xhigh"
}

// effort returns the nearest effort the model has.
func (t traits) effort(effort string) string {
	switch {
	case effort == "minimal":
		return "low"
	case effort == "xhigh" && !t.extraHigh():
		return "high"
	case effort == "none" || effort == "disable":
		return ""
	}
	return effort
}

// forced reports whether the model must call a tool, which it cannot do while it
// thinks.
func forced(c *chat.Completion) bool {
	switch c.ToolChoice.Mode {
	case "required", "any", "function":
		return len(c.Tools) > 0
	}
	return false
}

// replays reports whether thinking can go on: a model with a budget does not
// take the results of calls whose thinking the client did not give back, and
// most clients do not know that they should.
func replays(messages []chat.Message) bool {
	for i := len(messages) - 1; i >= 0; i-- {
		switch m := &messages[i]; m.Role {
		case "user":
			return true
		case "assistant":
			if len(m.Calls) > 0 {
				return signed(m.Thinking)
			}
		}
	}
	return true
}

func signed(blocks []chat.ThinkingBlock) bool {
	for i := range blocks {
		if blocks[i].Signature != "" || blocks[i].Data != "" {
			return true
		}
	}
	return false
}
