package chat

import (
	"slices"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Drop removes the named parameters (additional_drop_params) from c, the decoded
// ones too. Two names of one parameter (max_tokens, tools …) go together.
func (c *Completion) Drop(names []string) {
	for _, name := range names {
		switch name {
		case "tools", "functions":
			c.Tools = nil
		case "tool_choice", "function_call":
			c.ToolChoice = ToolChoice{}
		case "parallel_tool_calls":
			c.ParallelToolCalls = nil
		case "response_format":
			c.ResponseFormat = ResponseFormat{}
		case "max_tokens", "max_completion_tokens":
			c.MaxTokens = 0
		case "stop":
			c.Stop = nil
		case "n":
			c.N = 0
		case "reasoning_effort":
			c.ReasoningEffort = ""
		case "user":
			c.User = ""
		}
	}
	c.Params = slices.DeleteFunc(c.Params, func(p upstream.Param) bool { return slices.Contains(names, p.Name) })
}
