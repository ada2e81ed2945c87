package chat

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Bookkeeping lists the parameters that say something to OpenAI's dashboard or
// cache and nothing to the model: where a provider lacks them they are left out.
// The user is the first.
var Bookkeeping = []string{"user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}

// Idle reports whether a parameter asks for nothing, so that a provider that
// lacks it need not refuse the request: many clients send OpenAI's defaults.
func Idle(p upstream.Param) bool {
	text := string(p.Value)
	switch p.Name {
	case "temperature", "top_p", "n", "best_of":
		return IsOne(p.Value)
	case "frequency_penalty", "presence_penalty", "top_logprobs":
		return strings.Trim(text, "-0.") == ""
	case "logprobs", "store", "echo":
		return text == "false"
	case "parallel_tool_calls":
		return text == "true"
	case "logit_bias":
		return text == "{}"
	case "tools", "functions":
		return text == "[]"
	case "tool_choice", "function_call":
		return text == `"none"`
	case "modalities":
		return text == `["text"]`
	case "service_tier":
		return text == `"auto"` || text == `"default"`
	case "verbosity":
		return text == `"medium"`
	}
	return false
}

// IsOne reports whether a JSON value is the number 1, as integer or decimal.
func IsOne(v jsontext.Value) bool {
	whole, zeros, _ := strings.Cut(string(v), ".")
	return whole == "1" && strings.Trim(zeros, "0") == ""
}

// Members are the members of an object that is being made for a provider. The
// zero value is empty.
type Members []upstream.Param

// Add adds a member; the first of a name holds, and null is no value.
func (m *Members) Add(name string, value jsontext.Value) {
	if value.Kind() == 'n' || slices.ContainsFunc(*m, func(p upstream.Param) bool { return p.Name == name }) {
		return
	}
	*m = append(*m, upstream.Param{Name: name, Value: value})
}

// AddInt adds a member that is a whole number, as Add does.
func (m *Members) AddInt(name string, n int) { m.Add(name, strconv.AppendInt(nil, int64(n), 10)) }

// AppendTo appends the members to an object that is being written, but for those
// that skip says.
func (m Members) AppendTo(dst []byte, skip func(name string) bool) []byte {
	for _, p := range m {
		if skip == nil || !skip(p.Name) {
			dst = jsonedit.AppendMember(dst, p.Name, p.Value)
		}
	}
	return dst
}
