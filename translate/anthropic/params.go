package anthropic

import (
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// params are the parameters of one request, sorted by what becomes of them.
type params struct {
	members   chat.Members   // of Anthropic's body, as they are
	thinking  jsontext.Value // Anthropic's own, wins over reasoning_effort
	output    jsontext.Value // output_config
	webSearch jsontext.Value // web_search_options
	userID    string
	lacking   []string // what Anthropic does not have
}

// sort reads all parameters of a completion.
func (tr *Translator) sort(c *chat.Completion) (*params, error) {
	p := &params{}
	if c.User != "" && !looksPersonal(c.User) {
		p.userID = c.User
	}
	for i := range c.Params {
		tr.take(p, c.Params[i])
	}
	if p.output != nil && p.output.Kind() != '{' {
		return nil, upstream.BadRequest("output_config", "'output_config' must be an object")
	}
	if c.N > 1 {
		p.lacking = append(p.lacking, "n")
	}
	if !tr.model.thinks() && c.ReasoningEffort != "" && c.ReasoningEffort != "none" {
		p.lacking = append(p.lacking, "reasoning_effort")
	}
	if err := tr.target.Refuse(p.lacking); err != nil {
		return nil, err
	}
	return p, nil
}

func (tr *Translator) take(p *params, param upstream.Param) {
	if param.Value.Kind() == 'n' { // out of extra_body
		return
	}
	switch param.Name {
	case "temperature", "top_p", "top_k":
		if tr.model.fixedSampling() && !(param.Name == "temperature" && chat.IsOne(param.Value)) {
			p.lacking = append(p.lacking, param.Name)
			return
		}
		p.set(param)
	case "service_tier":
		if param = standardTier(param); !tr.target.DropParams || ownTier(param.Value) {
			p.set(param)
		}
	case "cache_control", "mcp_servers", "context_management", "container", "inference_geo", "speed",
		"stop_sequences":
		p.set(param)
	case "thinking":
		p.thinking = param.Value
	case "output_config":
		p.output = param.Value
	case "web_search_options":
		p.webSearch = param.Value
	case "metadata":
		p.takeMetadata(param.Value)
	default:
		switch {
		case slices.Contains(chat.Bookkeeping, param.Name) || chat.Idle(param):
		case tr.target.Allows(param.Name):
			p.set(param)
		default:
			p.lacking = append(p.lacking, param.Name)
		}
	}
}

// set adds a member of the body, unless this package writes it itself; the first
// of a name holds.
func (p *params) set(param upstream.Param) {
	switch param.Name {
	case "model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream", "metadata", "thinking", "output_config":
		return
	}
	p.members.Add(param.Name, param.Value)
}

// takeMetadata reads Anthropic's only member of metadata. OpenAI's metadata is
// for OpenAI's dashboard.
func (p *params) takeMetadata(value jsontext.Value) {
	var w struct {
		UserID string `json:"user_id"`
	}
	if p.userID == "" && json.Unmarshal(value, &w) == nil && !looksPersonal(w.UserID) {
		p.userID = w.UserID
	}
}

// standardTier renames OpenAI's default tier; "auto" is the same for both.
func standardTier(param upstream.Param) upstream.Param {
	if string(param.Value) == `"default"` {
		param.Value = jsontext.Value(`"standard_only"`)
	}
	return param
}

// ownTier reports whether a tier is one of Anthropic's.
func ownTier(value jsontext.Value) bool {
	return string(value) == `"auto"` || string(value) == `"standard_only"`
}

var (
	mailAddress = regexp.MustCompile(`^[a-zA-Z0-9_.+-]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$`)
	phoneNumber = regexp.MustCompile(`^\+?[\d\s()-]{7,}$`)
)

// looksPersonal reports whether a user id looks like a mail address or a telephone
// number, which Anthropic refuses in metadata.user_id.
func looksPersonal(id string) bool { return mailAddress.MatchString(id) || phoneNumber.MatchString(id) }

// appendStop appends stop_sequences; Anthropic refuses those of white space only.
func appendStop(dst []byte, stop []string) []byte {
	begun := false
	for _, s := range stop {
		if strings.TrimSpace(s) == "" {
			continue
		}
		if !begun {
			begun = true
			dst = append(jsonedit.AppendName(dst, "stop_sequences"), '[')
		}
		dst = jsonedit.AppendString(jsonedit.AppendComma(dst), s)
	}
	if begun {
		dst = append(dst, ']')
	}
	return dst
}
