package openai

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// maxSchemaDepth bounds the nesting of a tool's schema that is looked at.
const maxSchemaDepth = 64

// tools makes the edits inside tools.
func (b *BodyEditor) tools(tools jsontext.Value) jsontext.Value {
	q := b.quirks
	if (b.genuine || q.Plain && !b.caches) && jsonedit.Find(tools, "cache_control") >= 0 {
		tools = mapObjects(tools, withoutCacheControl)
	}
	if !q.NoToolStrict && !q.PlainSchemas {
		return tools
	}
	return mapObjects(tools, func(tool *jsonedit.Object, edits *jsonedit.Edits) {
		function, _ := tool.Get("function")
		object, err := jsonedit.Parse(function)
		if err != nil {
			return
		}
		var inner jsonedit.Edits
		inner.Delete("strict")
		if schema, ok := object.Get("parameters"); ok && q.PlainSchemas {
			inner.Set("parameters", plainSchema(schema, 0))
		}
		edits.Set("function", object.Apply(&inner))
	})
}

// plainSchema removes from a JSON schema what Mistral refuses. Only the places of
// a schema are looked at: a property may be called "strict".
func plainSchema(schema jsontext.Value, depth int) jsontext.Value {
	if schema.Kind() != '{' || depth > maxSchemaDepth {
		return schema
	}
	object, err := jsonedit.Parse(schema)
	if err != nil {
		return schema
	}
	var edits jsonedit.Edits
	for _, m := range object.Members() {
		value := object.Value(m)
		switch m.Name {
		case "$id", "$schema", "strict":
			edits.Delete(m.Name)
		case "additionalProperties":
			if string(value) == "false" {
				edits.Delete(m.Name)
				continue
			}
			edits.Set(m.Name, plainSchema(value, depth+1))
		case "items", "not":
			edits.Set(m.Name, plainSchema(value, depth+1))
		case "anyOf", "oneOf", "allOf", "prefixItems":
			edits.Set(m.Name, plainList(value, depth+1))
		case "properties", "$defs", "definitions", "patternProperties":
			edits.Set(m.Name, plainMembers(value, depth+1))
		}
	}
	return object.Apply(&edits)
}

func plainList(value jsontext.Value, depth int) jsontext.Value {
	out, err := jsonedit.MapArray(value, func(v jsontext.Value) (jsontext.Value, error) { return plainSchema(v, depth), nil })
	if err != nil {
		return value
	}
	return slices.Clone(out)
}

// plainMembers does the same to an object whose members are schemas.
func plainMembers(value jsontext.Value, depth int) jsontext.Value {
	object, err := jsonedit.Parse(value)
	if err != nil {
		return value
	}
	var edits jsonedit.Edits
	for _, m := range object.Members() {
		edits.Set(m.Name, plainSchema(object.Value(m), depth))
	}
	return object.Apply(&edits)
}
