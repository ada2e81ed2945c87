package translatetest

import (
	"maps"
	"slices"
	"strings"
)

type object = map[string]any

// canonical brings a provider request's body to one spelling of those that the
// provider takes for equal. It does not change body.
func canonical(provider string, body any) any {
	b, ok := withoutNulls(body).(object)
	if !ok {
		return body
	}
	switch provider {
	case "gemini":
		return canonicalGemini(b)
	case "anthropic":
		canonicalAnthropic(b)
	case "ollama":
		canonicalOllama(b) // stream false is not absent here: the server's default is true
	default:
		removeIf(b, "stream", false)
	}
	return b
}

// withoutNulls returns a deep copy without null members.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for name, value := range v {
			if value != nil {
				out[name] = withoutNulls(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = withoutNulls(v[i])
		}
		return out
	}
	return v
}

// removeIf removes a member that has this value.
func removeIf(o object, name string, value any) {
	if v, ok := o[name]; ok && equal(value, v) {
		delete(o, name)
	}
}

// objectsIn returns the objects of an array, and nothing of another value.
func objectsIn(v any) []object {
	list, _ := v.([]any)
	var out []object
	for _, e := range list {
		if o, ok := e.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

// textBlocks is Anthropic's short form written out.
func textBlocks(v any) any {
	if text, ok := v.(string); ok {
		return []any{object{"type": "text", "text": text}}
	}
	return v
}

func canonicalAnthropic(b object) {
	if format, ok := at(b, []string{"output_config", "format"}).(object); ok {
		if schema, ok := format["schema"].(object); ok {
			definitions, _ := schema["$defs"].(object)
			format["schema"] = inlined(schema, definitions, 0)
		}
	}
	if system, ok := b["system"]; ok {
		b["system"] = textBlocks(system)
		removeIf(b, "system", []any{})
	}
	for _, m := range objectsIn(b["messages"]) {
		m["content"] = textBlocks(m["content"])
		for _, block := range objectsIn(m["content"]) {
			if block["type"] != "tool_result" {
				continue
			}
			if block["content"] == nil {
				block["content"] = []any{}
			}
			block["content"] = textBlocks(block["content"])
			removeIf(block, "is_error", false)
		}
	}
	for _, tool := range objectsIn(b["tools"]) {
		removeIf(tool, "type", "custom")
	}
	if choice, ok := b["tool_choice"].(object); ok {
		removeIf(choice, "disable_parallel_tool_use", false)
	}
	removeIf(b, "tool_choice", object{"type": "auto"})
	removeIf(b, "stream", false)
}

// maxInlined bounds the depth to which references are written out: recursive
// ones stay from there on.
const maxInlined = 8

// inlined is a schema with its local references written out: a kept and an
// inlined reference mean the same.
func inlined(v any, definitions object, depth int) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = inlined(v[i], definitions, depth)
		}
		return out
	case object:
		ref, _ := v["$ref"].(string)
		name, local := strings.CutPrefix(ref, "#/$defs/")
		if definition, ok := definitions[name].(object); ok && local && depth < maxInlined {
			merged := maps.Clone(definition)
			maps.Copy(merged, v)
			delete(merged, "$ref")
			return inlined(merged, definitions, depth+1)
		}
		out := make(object, len(v))
		for name, value := range v {
			if name != "$defs" {
				out[name] = inlined(value, definitions, depth)
			}
		}
		return out
	}
	return v
}

func canonicalOllama(b object) {
	removeIf(b, "options", object{})
	for _, m := range objectsIn(b["messages"]) {
		removeIf(m, "content", "")
		removeIf(m, "images", []any{})
		delete(m, "tool_call_id") // tool_name is what the API documents
		for _, call := range objectsIn(m["tool_calls"]) {
			delete(call, "id")
			delete(call, "type")
			if function, ok := call["function"].(object); ok {
				delete(function, "index")
			}
		}
	}
}

// canonicalUsage keeps the counts that clients read: the three totals, and the
// cached and reasoning tokens when there are any.
func canonicalUsage(v any) any {
	usage, ok := v.(object)
	if !ok || len(usage) == 0 {
		return nil
	}
	out := object{}
	for _, name := range []string{"prompt_tokens", "completion_tokens", "total_tokens"} {
		out[name] = usage[name]
	}
	for _, path := range [][]string{{"prompt_tokens_details", "cached_tokens"}, {"completion_tokens_details", "reasoning_tokens"}} {
		if n := at(usage, path); n != nil && !equal(0.0, n) {
			out[path[1]] = n
		}
	}
	return out
}

// canonicalMessage keeps the members of a message that clients read. Tool call
// arguments are compared as JSON: "" is not "{}".
func canonicalMessage(v any) object {
	message, _ := v.(object)
	out := object{}
	for _, name := range []string{"role", "content", "reasoning_content", "refusal", "tool_calls", "function_call", "audio", "annotations"} {
		value := message[name]
		if name != "role" && (equal("", value) || equal([]any{}, value)) {
			continue
		}
		out[name] = value
	}
	if calls, ok := out["tool_calls"].([]any); ok {
		calls = slices.Clone(calls)
		for i := range calls {
			calls[i] = canonicalToolCall(calls[i])
		}
		out["tool_calls"] = calls
	}
	return out
}

func canonicalToolCall(v any) any {
	call, ok := v.(object)
	if !ok {
		return v
	}
	out := maps.Clone(call)
	delete(out, "index")
	delete(out, "provider_specific_fields")
	if _, ok := out["type"]; !ok {
		out["type"] = "function"
	}
	function, ok := out["function"].(object)
	if !ok {
		return out
	}
	function = maps.Clone(function)
	out["function"] = function
	if text, ok := function["arguments"].(string); ok {
		if value, err := parseJSON(text); err == nil {
			function["arguments"] = object{strings.TrimPrefix(literal, "/"): value}
		}
	}
	return out
}
