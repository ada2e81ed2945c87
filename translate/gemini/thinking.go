package gemini

import (
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Thinking budgets in tokens for OpenAI's efforts. They are LiteLLM's.
const (
	budgetLow    = 1024
	budgetMedium = 2048
	budgetHigh   = 4096
)

// thinkingOf returns the thinkingConfig of a reasoning_effort: a budget of
// tokens until Gemini 2.5, a level from Gemini 3 on. A model gets one or the
// other, never both. https://ai.google.dev/gemini-api/docs/thinking
func (t traits) thinkingOf(effort string) (jsontext.Value, error) {
	switch effort {
	case "xhigh", "max":
		effort = "high"
	case "disable":
		effort = "none"
	case "none", "minimal", "low", "medium", "high":
	default:
		return nil, upstream.BadRequest("reasoning_effort", "'reasoning_effort' must be none, minimal, low, medium, high or xhigh")
	}
	include := "true"
	if effort == "none" {
		include = "false"
	}
	if t.third() {
		return jsontext.Value(`{"thinkingLevel":"` + t.level(effort) + `","includeThoughts":` + include + `}`), nil
	}
	return jsontext.Value(`{"thinkingBudget":` + strconv.Itoa(t.budget(effort)) + `,"includeThoughts":` + include + `}`), nil
}

// level returns the nearest level the model has: only the flash models have
// "minimal". None can stop thinking.
func (t traits) level(effort string) string {
	switch {
	case (effort == "none" || effort == "minimal") && t.flash:
		return "minimal"
	case effort == "none" || effort == "minimal":
		return "low"
	}
	return effort
}

// budget returns the effort in tokens; "minimal" is the least the model takes.
func (t traits) budget(effort string) int {
	switch effort {
	case "none":
		return 0
	case "low":
		return budgetLow
	case "medium":
		return budgetMedium
	case "high":
		return budgetHigh
	}
	switch {
	case t.lite:
		return 512
	case t.flash:
		return 1
	}
	return 128
}

// thinkingParam returns the thinkingConfig of Anthropic's thinking parameter,
// which LiteLLM's clients use for every provider:
// {"type":"enabled","budget_tokens":…} or {"type":"disabled"}.
func (t traits) thinkingParam(value jsontext.Value) (jsontext.Value, error) {
	var w struct {
		Type   string `json:"type"`
		Budget *int   `json:"budget_tokens"`
	}
	if err := json.Unmarshal(value, &w); err != nil {
		return nil, upstream.BadRequest("thinking", "'thinking' must be an object with 'type' and 'budget_tokens'")
	}
	enabled := w.Type != "disabled" && (w.Budget == nil || *w.Budget != 0)
	switch {
	case t.third():
		return jsontext.Value(`{"includeThoughts":` + strconv.FormatBool(enabled) + `}`), nil
	case !enabled:
		return jsontext.Value(`{"thinkingBudget":0}`), nil
	case w.Budget == nil:
		return jsontext.Value(`{"includeThoughts":true}`), nil
	}
	return jsontext.Value(`{"includeThoughts":true,"thinkingBudget":` + strconv.Itoa(*w.Budget) + `}`), nil
}
