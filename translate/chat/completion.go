package chat

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Completion is a chat completion request with everything decoded that a
// provider with another format must rewrite. What most providers take as it
// stands (temperature, seed, …) stays in Params as raw JSON.
type Completion struct {
	Messages          []Message
	Tools             []Tool
	ToolChoice        ToolChoice
	ParallelToolCalls *bool
	ResponseFormat    ResponseFormat
	MaxTokens         int // max_completion_tokens, else max_tokens; 0 is absent
	Stop              []string
	N                 int // 0 is absent
	ReasoningEffort   string
	User              string
	Stream            bool
	WantsUsage        bool
	// Params are all other members of the request, deployment defaults
	// included, in order: OpenAI's (temperature, top_p, seed, logprobs …) and
	// the provider's own (top_k, thinking, safety_settings …). extra_body's
	// members stand here as if they were top-level.
	Params []upstream.Param
}

// Tool is one entry of tools. Type "function" is decoded; any other kind, or an
// entry without a type, is a provider's own tool and stays in Raw.
type Tool struct {
	Type         string
	Name         string
	Description  string
	Parameters   jsontext.Value // JSON Schema; nil when absent
	Strict       *bool
	CacheControl jsontext.Value
	Raw          jsontext.Value
}

// ToolChoice is the tool_choice member. Mode is "", auto, none, required or
// function; Name is the function's.
type ToolChoice struct{ Mode, Name string }

// ResponseFormat is the response_format member. Type is "", text, json_object
// or json_schema.
type ResponseFormat struct {
	Type        string
	Name        string
	Description string
	Schema      jsontext.Value
	Strict      *bool
}

// Completion decodes the request for a provider with a format of its own.
// Messages and tools are decoded once and shared: they must not be changed. The
// error is an *upstream.Error with status 400 that names the place.
func (r *Request) Completion(defaults []upstream.Param) (*Completion, error) {
	c := &Completion{Stream: r.Stream, WantsUsage: r.WantsUsage}
	var err error
	if r.Endpoint == TextCompletions {
		c.Messages, err = r.promptMessages()
	} else {
		c.Messages, err = r.messages()
	}
	if err != nil {
		return nil, err
	}
	if c.Tools, err = r.tools(); err != nil {
		return nil, err
	}
	params, err := r.Params(defaults)
	if err != nil {
		return nil, err
	}
	for _, p := range params {
		if err := c.take(p); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// take reads one member into c.
func (c *Completion) take(p upstream.Param) error {
	switch p.Name {
	case "model", "messages", "prompt", "stream", "stream_options":
		return nil
	case "tools", "functions":
		return c.defaultTools(p)
	case "max_completion_tokens":
		return decodeParam(p, &c.MaxTokens, "an integer")
	case "max_tokens":
		if c.MaxTokens != 0 {
			return nil
		}
		return decodeParam(p, &c.MaxTokens, "an integer")
	case "n":
		return decodeParam(p, &c.N, "an integer")
	case "parallel_tool_calls":
		return decodeParam(p, &c.ParallelToolCalls, "a boolean")
	case "reasoning_effort":
		return decodeParam(p, &c.ReasoningEffort, "a string")
	case "user":
		return decodeParam(p, &c.User, "a string")
	case "stop":
		return c.takeStop(p)
	case "tool_choice", "function_call":
		return c.takeToolChoice(p)
	case "response_format":
		return c.takeResponseFormat(p)
	}
	c.Params = append(c.Params, p)
	return nil
}

func decodeParam(p upstream.Param, into any, want string) error {
	if err := json.Unmarshal(p.Value, into); err != nil {
		return upstream.BadRequest(p.Name, "'"+p.Name+"' must be "+want)
	}
	return nil
}

func (c *Completion) takeStop(p upstream.Param) error {
	if p.Value.Kind() == '"' {
		c.Stop = make([]string, 1)
		return decodeParam(p, &c.Stop[0], "a string or a list of strings")
	}
	return decodeParam(p, &c.Stop, "a string or a list of strings")
}

func (c *Completion) takeToolChoice(p upstream.Param) error {
	if p.Value.Kind() == '"' {
		return decodeParam(p, &c.ToolChoice.Mode, "a string or an object")
	}
	var w struct {
		Type     string `json:"type"`
		Name     string `json:"name"` // the legacy function_call
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if err := decodeParam(p, &w, "a string or an object that names a function"); err != nil {
		return err
	}
	name := w.Function.Name
	if name == "" {
		name = w.Name
	}
	if name == "" && (w.Type == "auto" || w.Type == "none" || w.Type == "required" || w.Type == "any") {
		c.ToolChoice.Mode = w.Type // Anthropic's way to write it
		return nil
	}
	if name == "" {
		return upstream.BadRequest(p.Name, "'"+p.Name+"' must name a function")
	}
	c.ToolChoice = ToolChoice{Mode: "function", Name: name}
	return nil
}

func (c *Completion) takeResponseFormat(p upstream.Param) error {
	var w struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Schema      jsontext.Value `json:"schema"`
			Strict      *bool          `json:"strict"`
		} `json:"json_schema"`
		ResponseSchema jsontext.Value `json:"response_schema"` // LiteLLM's older form, with json_object
	}
	if err := decodeParam(p, &w, "an object with a 'type'"); err != nil {
		return err
	}
	if w.Type == "json_object" && w.ResponseSchema.Kind() == '{' {
		w.Type, w.JSONSchema.Schema = "json_schema", w.ResponseSchema
	}
	switch w.Type {
	case "text", "json_object":
	case "json_schema":
		if w.JSONSchema.Schema.Kind() != '{' {
			return upstream.BadRequest("response_format", "'response_format.json_schema' must have a 'schema' object")
		}
	default:
		return upstream.BadRequest("response_format", "'response_format.type' must be text, json_object or json_schema")
	}
	s := w.JSONSchema
	c.ResponseFormat = ResponseFormat{Type: w.Type, Name: s.Name, Description: s.Description, Schema: s.Schema, Strict: s.Strict}
	return nil
}

type wireTool struct {
	Type         string           `json:"type"`
	Function     wireFunctionTool `json:"function"`
	CacheControl jsontext.Value   `json:"cache_control"`
}

type wireFunctionTool struct {
	Name         string         `json:"name"`
	Description  string         `json:"description"`
	Parameters   jsontext.Value `json:"parameters"`
	Strict       *bool          `json:"strict"`
	CacheControl jsontext.Value `json:"cache_control"`
}

func (r *Request) decodeTools() ([]Tool, error) {
	var tools []Tool
	for _, m := range r.Body.Members() {
		if m.Name != "tools" && m.Name != "functions" {
			continue
		}
		list, err := toolsOf(upstream.Param{Name: m.Name, Value: r.Body.Value(m)})
		if err != nil {
			return nil, err
		}
		tools = append(tools, list...)
	}
	return tools, nil
}

// defaultTools puts a deployment's tools before the client's.
func (c *Completion) defaultTools(p upstream.Param) error {
	if len(c.Tools) > 0 {
		return nil // the client's own, already decoded
	}
	list, err := toolsOf(p)
	c.Tools = list
	return err
}

// toolsOf decodes tools, or the legacy functions, which are tools without the
// wrapping object.
func toolsOf(p upstream.Param) ([]Tool, error) {
	if p.Value.Kind() == 'n' {
		return nil, nil
	}
	var raw []jsontext.Value
	if err := decodeParam(p, &raw, "an array"); err != nil {
		return nil, err
	}
	tools := make([]Tool, len(raw))
	for i, v := range raw {
		w := wireTool{Type: "function"}
		if p.Name == "tools" && jsonedit.Find(v, "function") < 0 {
			w.Type = "" // a provider's own tool without a type: {"googleSearch":{}}
		}
		var err error
		if p.Name == "functions" {
			err = json.Unmarshal(v, &w.Function)
		} else {
			err = json.Unmarshal(v, &w)
		}
		if err != nil {
			return nil, upstream.BadRequest(p.Name, fmt.Sprintf("%s[%d]: %s", p.Name, i, wrongType(err)))
		}
		if w.Type == "function" && w.Function.Name == "" {
			return nil, upstream.BadRequest(p.Name, fmt.Sprintf("%s[%d]: a function needs a name", p.Name, i))
		}
		tools[i] = w.tool(v)
	}
	return tools, nil
}

func (w wireTool) tool(raw jsontext.Value) Tool {
	f := w.Function
	cache := w.CacheControl
	if cache == nil {
		cache = f.CacheControl
	}
	parameters := f.Parameters
	if parameters.Kind() == 'n' {
		parameters = nil
	}
	return Tool{
		Type: w.Type, Name: f.Name, Description: f.Description, Parameters: parameters,
		Strict: f.Strict, CacheControl: cache, Raw: raw,
	}
}

// promptMessages makes the one user message that a chat model gets for a legacy
// completion's prompt.
func (r *Request) promptMessages() ([]Message, error) {
	value, _ := r.Body.Get("prompt")
	var text string
	switch value.Kind() {
	case '"':
		_ = json.Unmarshal(value, &text)
	case '[':
		var list []string
		if err := json.Unmarshal(value, &list); err != nil || len(list) != 1 {
			return nil, upstream.BadRequest("prompt",
				"this model takes one text prompt: token arrays and lists of several prompts are not supported")
		}
		text = list[0]
	default:
		return nil, upstream.BadRequest("prompt", "'prompt' must be a string")
	}
	return []Message{{Role: "user", Content: []Part{{Type: "text", Text: text}}}}, nil
}
