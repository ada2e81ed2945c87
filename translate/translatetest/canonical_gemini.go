package translatetest

import (
	"slices"
	"strings"
)

func canonicalGemini(b object) object {
	b = camelCase(b).(object)
	if system, ok := b["systemInstruction"].(object); ok {
		b["systemInstruction"] = joinedTexts(system)
	}
	if contents, ok := b["contents"]; ok {
		b["contents"] = turns(objectsIn(contents))
	}
	for _, tool := range objectsIn(b["tools"]) {
		for _, f := range objectsIn(tool["functionDeclarations"]) {
			if schema, ok := f["parameters"]; ok {
				f["parameters"] = canonicalSchema(schema)
			}
		}
	}
	if config, ok := b["generationConfig"].(object); ok {
		if schema, ok := config["responseSchema"]; ok {
			config["responseSchema"] = canonicalSchema(schema)
		}
		if thinking, ok := config["thinkingConfig"].(object); ok {
			if level, ok := thinking["thinkingLevel"].(string); ok {
				thinking["thinkingLevel"] = strings.ToLower(level)
			}
		}
		removeIf(config, "responseMimeType", "text/plain") // the default
		removeIf(b, "generationConfig", object{})
	}
	delete(b, "model")
	return b
}

// camelCase spells the API's names as the API does; snake case is as good. What
// belongs to the user (arguments, schemas) stays.
func camelCase(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = camelCase(v[i])
		}
		return out
	case object:
		out := make(object, len(v))
		for name, value := range v {
			switch name = camel(name); name {
			case "args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema":
				out[name] = value
			default:
				out[name] = camelCase(value)
			}
		}
		return out
	}
	return v
}

func camel(name string) string {
	head, rest, _ := strings.Cut(name, "_")
	for word := range strings.SplitSeq(rest, "_") {
		if word != "" {
			head += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return head
}

// joinedTexts makes one part of a system instruction of texts only: several
// parts are as good.
func joinedTexts(system object) object {
	delete(system, "role")
	var texts []string
	parts, _ := system["parts"].([]any)
	for _, p := range parts {
		part, _ := p.(object)
		text, ok := part["text"].(string)
		if !ok || len(part) != 1 {
			return system
		}
		texts = append(texts, text)
	}
	return object{"parts": []any{object{"text": strings.Join(texts, "\n")}}}
}

// turns merges neighbours of one role. Empty texts do not count.
func turns(contents []object) []any {
	var out []any
	var last object
	for _, c := range contents {
		role := c["role"]
		if role == nil || role == "function" {
			role = "user"
		}
		list, _ := c["parts"].([]any)
		parts := []any{}
		for _, p := range list {
			if !equal(object{"text": ""}, p) {
				parts = append(parts, unwrapped(p))
			}
		}
		if last != nil && last["role"] == role {
			last["parts"] = append(last["parts"].([]any), parts...)
			continue
		}
		last = object{"role": role, "parts": parts}
		out = append(out, last)
	}
	return out
}

// unwrapped brings a function response to one form: an object as it is, or
// whatever else wrapped under one of the usual names.
func unwrapped(part any) any {
	p, _ := part.(object)
	function, ok := p["functionResponse"].(object)
	if !ok {
		return part
	}
	response, ok := function["response"].(object)
	if !ok || len(response) != 1 {
		return part
	}
	for name, value := range response {
		if !slices.Contains([]string{"content", "output", "result"}, name) {
			return part
		}
		if text, ok := value.(string); ok {
			if parsed, err := parseJSON(text); err == nil {
				value = parsed
			}
		}
		if _, ok := value.(object); !ok {
			value = object{"__wrapped__": value}
		}
		function["response"] = value
	}
	return part
}

// canonicalSchema brings a schema of Gemini's OpenAPI subset to one spelling:
// the case of types, the ways to say nullable, and members that only help the
// model.
func canonicalSchema(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = canonicalSchema(v[i])
		}
		return out
	case object:
		out := make(object, len(v))
		for name, value := range v {
			switch name {
			case "propertyOrdering", "default":
			case "properties":
				out[name] = canonicalProperties(value)
			default:
				out[name] = canonicalSchema(value)
			}
		}
		canonicalType(out)
		canonicalUnion(out)
		removeIf(out, "nullable", false)
		return out
	}
	return v
}

// canonicalProperties is canonicalSchema for a map of property names, which are
// the user's.
func canonicalProperties(v any) any {
	properties, ok := v.(object)
	if !ok {
		return canonicalSchema(v)
	}
	out := make(object, len(properties))
	for name, schema := range properties {
		out[name] = canonicalSchema(schema)
	}
	return out
}

func canonicalType(schema object) {
	switch kind := schema["type"].(type) {
	case string:
		schema["type"] = strings.ToLower(kind)
	case []any:
		var kinds []any
		for _, k := range kind {
			text, _ := k.(string)
			if text = strings.ToLower(text); text == "null" {
				schema["nullable"] = true
				continue
			}
			kinds = append(kinds, object{"type": text})
		}
		delete(schema, "type")
		if len(kinds) == 1 {
			schema["type"] = kinds[0].(object)["type"]
		} else {
			schema["anyOf"] = kinds
		}
	}
}

// canonicalUnion moves null out of anyOf, and the descriptions of its members up.
func canonicalUnion(schema object) {
	list, ok := schema["anyOf"].([]any)
	if !ok {
		return
	}
	description := schema["description"]
	var members []any
	for _, m := range list {
		member, ok := m.(object)
		if !ok {
			members = append(members, m)
			continue
		}
		if member["type"] == "null" {
			schema["nullable"] = true
			continue
		}
		if member["nullable"] == true {
			schema["nullable"] = true
			delete(member, "nullable")
		}
		if description == nil || description == "" {
			description = member["description"]
		}
		delete(member, "description")
		delete(member, "title")
		members = append(members, member)
	}
	if schema["anyOf"] = members; len(members) == 1 {
		delete(schema, "anyOf")
		if only, ok := members[0].(object); ok {
			for name, value := range only {
				schema[name] = value
			}
		}
	}
	if description != nil && description != "" {
		schema["description"] = description
	}
}
