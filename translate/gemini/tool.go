package gemini

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// ownTool is one of Google's own tools, in the entry of tools it has for itself.
type ownTool struct {
	name  string
	value jsontext.Value
}

// appendTools appends tools and toolConfig, unless there are none. Search tools
// give way to functions: Gemini takes no request with both.
// https://ai.google.dev/gemini-api/docs/function-calling
func (tr *Translator) appendTools(dst []byte, c *chat.Completion, p *params) ([]byte, error) {
	own, functions := p.tools, 0
	for i := range c.Tools {
		if t := &c.Tools[i]; t.Type == "function" {
			functions++
			continue
		}
		found := ownTools(&c.Tools[i])
		if len(found) == 0 && !tr.target.DropParams {
			return dst, upstream.BadRequest("tools",
				fmt.Sprintf("tools[%d]: %s has no tool of type %q; set drop_params: true to drop it", i, tr.target.Provider, c.Tools[i].Type))
		}
		own = append(own, found...)
	}
	begun := len(dst)
	dst = append(jsonedit.AppendName(dst, "tools"), '[')
	empty := len(dst)
	if functions > 0 {
		var err error
		if dst, err = appendFunctions(dst, c.Tools); err != nil {
			return dst, err
		}
	}
	for _, t := range own {
		if functions == 0 || !searches(t.name) {
			dst = append(jsonedit.AppendMember(append(jsonedit.AppendComma(dst), '{'), t.name, t.value), '}')
		}
	}
	if len(dst) == empty {
		dst = dst[:begun]
	} else {
		dst = append(dst, ']')
	}
	return appendToolConfig(dst, c, p, functions > 0)
}

func appendFunctions(dst []byte, tools []chat.Tool) ([]byte, error) {
	dst = append(dst, `{"functionDeclarations":[`...)
	for i := range tools {
		t := &tools[i]
		if t.Type != "function" {
			continue
		}
		dst = append(jsonedit.AppendComma(dst), `{"name":`...)
		dst = jsonedit.AppendString(dst, t.Name)
		if t.Description != "" {
			dst = jsonedit.AppendString(jsonedit.AppendName(dst, "description"), t.Description)
		}
		if t.Parameters != nil {
			schema, err := cleanSchema(t.Parameters, false)
			if err != nil {
				return dst, upstream.BadRequest("tools", fmt.Sprintf("tools[%d]: %s", i, err))
			}
			if len(schema) > len("{}") { // nothing said: a function without parameters
				dst = jsonedit.AppendMember(dst, "parameters", schema)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}"...), nil
}

// ownTools finds Google's own tools in an entry of another kind than function:
// {"googleSearch":{}} with or without a type, or OpenAI's web search.
func ownTools(t *chat.Tool) []ownTool {
	if t.Type == "web_search" || t.Type == "web_search_preview" {
		return []ownTool{webSearch()}
	}
	object, err := jsonedit.Parse(t.Raw)
	if err != nil {
		return nil
	}
	var found []ownTool
	for _, m := range object.Members() {
		if name := ownToolName(m.Name); name != "" && object.Value(m).Kind() == '{' {
			found = append(found, ownTool{name, object.Value(m)})
		}
	}
	return found
}

func webSearch() ownTool { return ownTool{"googleSearch", jsontext.Value("{}")} }

func ownToolName(name string) string {
	switch name {
	case "googleSearch", "google_search":
		return "googleSearch"
	case "googleSearchRetrieval", "google_search_retrieval":
		return "googleSearchRetrieval"
	case "enterpriseWebSearch", "enterprise_web_search":
		return "enterpriseWebSearch"
	case "urlContext", "url_context":
		return "urlContext"
	case "codeExecution", "code_execution":
		return "codeExecution"
	case "googleMaps", "google_maps":
		return "googleMaps"
	case "computerUse", "computer_use":
		return "computerUse"
	case "fileSearch", "file_search":
		return "fileSearch"
	}
	return ""
}

// searches reports whether a tool of Google's is one that functions exclude.
func searches(name string) bool {
	switch name {
	case "googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "urlContext":
		return true
	}
	return false
}

// appendToolConfig appends the tool choice; without functions there is none to
// make. The client's own toolConfig holds where it made no choice in OpenAI's
// words.
func appendToolConfig(dst []byte, c *chat.Completion, p *params, functions bool) ([]byte, error) {
	mode := ""
	switch c.ToolChoice.Mode {
	case "":
		if p.toolConfig != nil {
			dst = jsonedit.AppendMember(dst, "toolConfig", p.toolConfig)
		}
		return dst, nil
	case "auto":
		mode = "AUTO"
	case "none":
		mode = "NONE"
	case "required", "any", "function":
		mode = "ANY"
	default:
		return dst, upstream.BadRequest("tool_choice", "'tool_choice' must be auto, none, required or name a function")
	}
	if !functions {
		return dst, nil
	}
	dst = append(jsonedit.AppendName(dst, "toolConfig"), `{"functionCallingConfig":{"mode":"`+mode+`"`...)
	if c.ToolChoice.Name != "" {
		dst = append(dst, `,"allowedFunctionNames":[`...)
		dst = append(jsonedit.AppendString(dst, c.ToolChoice.Name), ']')
	}
	return append(dst, "}}"...), nil
}
