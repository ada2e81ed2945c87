package anthropic

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const (
	noParameters = `{"type":"object","properties":{}}`
	webSearch    = "web_search_20250305"
	// dummyTool is offered when the conversation has calls but the request no
	// tools: Anthropic refuses that. It is LiteLLM's.
	dummyTool = `{"name":"dummy_tool","description":"This is a dummy tool call","input_schema":` + noParameters + `}`
)

// tools appends tools and tool_choice, unless there are none.
// https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use
func (b *body) tools(p *params, thinking bool) error {
	begun := len(b.out)
	b.out = append(jsonedit.AppendName(b.out, "tools"), '[')
	empty := len(b.out)
	for i := range b.c.Tools {
		if err := b.tool(&b.c.Tools[i]); err != nil {
			return upstream.BadRequest("tools", fmt.Sprintf("tools[%d]: %s", i, err))
		}
	}
	if p.webSearch != nil {
		b.webSearch(p.webSearch)
	}
	offered := len(b.out) > empty
	if b.json {
		b.jsonTool(offered || thinking)
	}
	if len(b.out) == empty && b.hasCalls() {
		b.out = append(append(b.out, dummyTool...), ']')
		return nil
	}
	if len(b.out) == empty {
		b.out = b.out[:begun]
		return nil
	}
	b.out = append(b.out, ']')
	return b.toolChoice(offered, thinking)
}

// jsonTool appends the tool that takes the answer. Where the model need not call
// it, it is told what it is for.
func (b *body) jsonTool(free bool) {
	b.out = append(jsonedit.AppendComma(b.out), `{"name":"`+jsonTool+`"`...)
	if free {
		b.out = append(b.out, `,"description":"Respond with the answer, in the form of the input schema."`...)
	}
	b.out = append(appendInputSchema(jsonedit.AppendName(b.out, "input_schema"), b.c.ResponseFormat.Schema), '}')
}

func (b *body) hasCalls() bool {
	for i := range b.c.Messages {
		if m := &b.c.Messages[i]; len(m.Calls) > 0 || m.Role == "tool" || m.Role == "function" {
			return true
		}
	}
	return false
}

// tool appends one tool: a function, or one of Anthropic's own as it is.
func (b *body) tool(t *chat.Tool) error {
	switch {
	case t.Type == "function":
		return b.function(t)
	case t.Type == "web_search" || t.Type == "web_search_preview":
		b.webSearch(t.Raw)
		return nil
	}
	object, err := jsonedit.Parse(t.Raw)
	if err != nil || !dated(t.Type) && t.Type != "mcp_toolset" && !object.Has("input_schema") {
		if b.tr.target.DropParams {
			return nil
		}
		return fmt.Errorf("%s has no tool of type %q; set drop_params: true to drop it", b.tr.target.Provider, t.Type)
	}
	b.betas = append(b.betas, toolBetas(t.Type)...)
	b.out = jsonedit.AppendComma(b.out)
	if function, ok := object.Get("function"); ok {
		return b.wrappedTool(t, function)
	}
	b.out = append(b.out, t.Raw...)
	return nil
}

// wrappedTool appends one of Anthropic's own tools from the form in which
// LiteLLM's clients write it: as a function whose parameters are its settings.
func (b *body) wrappedTool(t *chat.Tool, function jsontext.Value) error {
	var w struct {
		Name       string         `json:"name"`
		Parameters jsontext.Value `json:"parameters"`
	}
	if err := json.Unmarshal(function, &w); err != nil || w.Name == "" {
		return fmt.Errorf("a tool needs a name")
	}
	b.out = append(b.out, `{"type":`...)
	b.out = jsonedit.AppendString(b.out, t.Type)
	b.out = jsonedit.AppendString(jsonedit.AppendName(b.out, "name"), w.Name)
	if object, err := jsonedit.Parse(w.Parameters); err == nil {
		for _, m := range object.Members() {
			switch m.Name {
			case "type", "name", "cache_control":
			default:
				b.out = jsonedit.AppendMember(b.out, m.Name, object.Value(m))
			}
		}
	}
	b.out, _ = b.cache.append(b.out, t.CacheControl)
	b.out = append(b.out, '}')
	return nil
}

// dated reports whether a tool type is one of Anthropic's own: they all end in
// the day of their version, as in "bash_20250124".
func dated(kind string) bool {
	at := len(kind) - len("_20250124")
	return at > 0 && kind[at] == '_' && strings.Trim(kind[at+1:], "0123456789") == ""
}

// toolBetas returns the beta features that one of Anthropic's own tools needs.
func toolBetas(kind string) []string {
	switch kind {
	case "computer_20241022", "bash_20241022", "text_editor_20241022":
		return []string{"computer-use-2024-10-22"}
	case "computer_20250124":
		return []string{"computer-use-2025-01-24"}
	case "computer_20251124":
		return []string{"computer-use-2025-11-24"}
	case "code_execution_20250522":
		return []string{"code-execution-2025-05-22"}
	case "code_execution_20250825":
		return []string{"code-execution-2025-08-25"}
	case "web_fetch_20250910":
		return []string{"web-fetch-2025-09-10"}
	case "memory_20250818":
		return []string{"context-management-2025-06-27"}
	case "mcp_toolset":
		return []string{"mcp-client-2025-11-20"}
	}
	if strings.HasPrefix(kind, "tool_search_tool_") {
		return []string{"advanced-tool-use-2025-11-20"}
	}
	return nil
}

func (b *body) function(t *chat.Tool) error {
	b.out = append(jsonedit.AppendComma(b.out), `{"name":`...)
	b.out = jsonedit.AppendString(b.out, b.names.of(t.Name))
	if t.Description != "" {
		b.out = jsonedit.AppendString(jsonedit.AppendName(b.out, "description"), t.Description)
	}
	if t.Parameters != nil && t.Parameters.Kind() != '{' {
		return fmt.Errorf("'parameters' must be a JSON Schema object")
	}
	b.out = appendInputSchema(jsonedit.AppendName(b.out, "input_schema"), t.Parameters)
	if t.Strict != nil && *t.Strict && b.tr.model.structured() && enforceable(t.Parameters) {
		b.out = append(b.out, `,"strict":true`...)
	}
	b.out, _ = b.cache.append(b.out, t.CacheControl)
	b.out = append(b.out, '}')
	return nil
}

// appendInputSchema appends a JSON Schema as it is, but for its top: Anthropic
// wants the type "object" said there and takes no union. What only names the
// schema is left out.
func appendInputSchema(dst []byte, schema jsontext.Value) []byte {
	if saysObject(schema) && !mayHaveMore(schema) {
		return append(dst, schema...)
	}
	object, err := jsonedit.Parse(schema)
	if err != nil { // there is none
		return append(dst, noParameters...)
	}
	dst = append(dst, `{"type":"object"`...)
	if !object.Has("properties") {
		dst = append(dst, `,"properties":{}`...)
	}
	for _, m := range object.Members() {
		if m.Name != "type" && !leftOut(m.Name) {
			dst = jsonedit.AppendMember(dst, m.Name, object.Value(m))
		}
	}
	return append(dst, '}')
}

// leftOut reports whether a keyword at the top of a schema is not sent: names,
// which generators write and the model does not need, and unions.
func leftOut(keyword string) bool {
	switch keyword {
	case "title", "$schema", "$id", "anyOf", "oneOf", "allOf":
		return true
	}
	return false
}

// mayHaveMore looks at the names in a schema, at any depth, for one that is left
// out at the top.
func mayHaveMore(schema jsontext.Value) bool {
	for name := range jsonedit.Names(schema) {
		if leftOut(string(name)) {
			return true
		}
	}
	return false
}

// saysObject reports whether a schema is of type "object" at its top. It reads no
// further than the type, which most schemas begin with.
func saysObject(schema jsontext.Value) bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(schema))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return false
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if name.String() == "type" {
			value, err := dec.ReadToken()
			return err == nil && value.Kind() == '"' && value.String() == "object"
		}
		if dec.SkipValue() != nil {
			return false
		}
	}
	return false
}

// webSearch appends Anthropic's web search with OpenAI's settings for its own.
// https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool
func (b *body) webSearch(options jsontext.Value) {
	var w struct {
		Size     string `json:"search_context_size"`
		Location struct {
			place
			Approximate place `json:"approximate"` // web_search_options has one level more
		} `json:"user_location"`
	}
	_ = json.Unmarshal(options, &w) // of another shape: no settings
	b.out = append(jsonedit.AppendComma(b.out), `{"type":"`+webSearch+`","name":"web_search"`...)
	if w.Location.Approximate == (place{}) {
		w.Location.Approximate = w.Location.place
	}
	if at := w.Location.Approximate; at != (place{}) {
		b.out = append(jsonedit.AppendName(b.out, "user_location"), `{"type":"approximate"`...)
		for _, f := range [...][2]string{{"city", at.City}, {"region", at.Region}, {"country", at.Country}, {"timezone", at.Timezone}} {
			if f[1] != "" {
				b.out = jsonedit.AppendString(jsonedit.AppendName(b.out, f[0]), f[1])
			}
		}
		b.out = append(b.out, '}')
	}
	switch w.Size { // as many searches as LiteLLM allows
	case "low":
		b.out = append(b.out, `,"max_uses":1`...)
	case "medium":
		b.out = append(b.out, `,"max_uses":5`...)
	case "high":
		b.out = append(b.out, `,"max_uses":10`...)
	}
	b.out = append(b.out, '}')
}

type place struct {
	City     string `json:"city"`
	Region   string `json:"region"`
	Country  string `json:"country"`
	Timezone string `json:"timezone"`
}

// toolChoice appends tool_choice. offered says that there are tools beside
// jsonTool.
func (b *body) toolChoice(offered, thinking bool) error {
	kind, name := "", ""
	switch mode := b.c.ToolChoice.Mode; mode {
	case "":
	case "auto", "none":
		kind = mode
	case "required", "any":
		kind = "any"
	case "function":
		kind, name = "tool", b.names.of(b.c.ToolChoice.Name)
	default:
		return upstream.BadRequest("tool_choice", "'tool_choice' must be auto, none, required or name a function")
	}
	if b.json && kind != "tool" {
		switch {
		case thinking: // and so cannot be forced
			kind = "auto"
		case offered && kind != "none":
			kind = "any" // one of the client's, or the answer
		default:
			kind, name = "tool", jsonTool
		}
	}
	serial := b.c.ParallelToolCalls != nil && !*b.c.ParallelToolCalls && kind != "none"
	if kind == "" && serial {
		kind = "auto"
	}
	if kind == "" {
		return nil
	}
	b.out = append(b.out, `,"tool_choice":{"type":"`+kind+`"`...)
	if name != "" {
		b.out = jsonedit.AppendString(jsonedit.AppendName(b.out, "name"), name)
	}
	if serial {
		b.out = append(b.out, `,"disable_parallel_tool_use":true`...)
	}
	b.out = append(b.out, '}')
	return nil
}
