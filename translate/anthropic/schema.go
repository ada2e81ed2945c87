package anthropic

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// answerSchema rewrites the JSON Schema of an answer to the part of JSON Schema
// that Anthropic compiles: objects are closed, oneOf is anyOf, and the
// constraints it lacks are told to the model in the description.
// https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
func answerSchema(schema jsontext.Value) jsontext.Value {
	text, _ := cleanSchema(schema)
	return text
}

// enforceable reports whether Anthropic compiles the schema as it is, so that its
// tool can be strict.
func enforceable(schema jsontext.Value) bool {
	if schema == nil {
		return false
	}
	_, changed := cleanSchema(schema)
	return !changed
}

func cleanSchema(schema jsontext.Value) (text jsontext.Value, changed bool) {
	c := schemaCleaner{dec: jsontext.NewDecoder(bytes.NewBuffer(schema)), out: make([]byte, 0, len(schema)+64)}
	if err := c.schema(); err != nil { // cannot be: it was validated with the request
		return schema, false
	}
	return c.out, c.changed
}

// schemaCleaner reads a schema once and writes it as it goes.
type schemaCleaner struct {
	dec     *jsontext.Decoder
	out     []byte
	changed bool
}

// closing is what is known of an object schema when all its members are read.
type closing struct {
	description jsontext.Value
	notes       []byte // the constraints left out, as text
	object      bool   // values are objects
	typed       bool
	closed      bool // says additionalProperties: false itself
	variants    bool // has anyOf
}

// schema copies the next value, which is a schema: an object, or true or false.
func (c *schemaCleaner) schema() error {
	if c.dec.PeekKind() != '{' {
		return c.copy()
	}
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	c.out = append(c.out, '{')
	var end closing
	for c.dec.PeekKind() == '"' {
		name, err := c.dec.ReadToken()
		if err != nil {
			return err
		}
		if err := c.member(name.String(), &end); err != nil {
			return err
		}
	}
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	c.finish(&end)
	return nil
}

// finish writes what depends on all members.
func (c *schemaCleaner) finish(end *closing) {
	if len(end.notes) > 0 {
		c.changed = true
		var text string
		if end.description.Kind() == '"' {
			unquoted, _ := jsontext.AppendUnquote(nil, end.description) // validated with the request
			text = string(unquoted) + "\n\n"
		}
		c.out = jsonedit.AppendString(jsonedit.AppendName(c.out, "description"), text+"("+string(end.notes)+")")
	} else if end.description != nil {
		c.out = jsonedit.AppendMember(c.out, "description", end.description)
	}
	if end.object {
		c.changed = c.changed || !end.closed
		c.out = append(jsonedit.AppendName(c.out, "additionalProperties"), "false"...)
	}
	c.out = append(c.out, '}')
}

// member copies one keyword, or leaves it out.
func (c *schemaCleaner) member(name string, end *closing) error {
	switch name {
	case "properties", "$defs", "definitions":
		end.object = end.object || name == "properties" && !end.typed
		c.out = jsonedit.AppendName(c.out, name)
		return c.each('{', '}')
	case "anyOf", "oneOf":
		if end.variants {
			break
		}
		end.variants = true
		c.changed = c.changed || name == "oneOf"
		c.out = jsonedit.AppendName(c.out, "anyOf")
		return c.each('[', ']')
	case "allOf":
		c.out = jsonedit.AppendName(c.out, name)
		return c.each('[', ']')
	case "items":
		c.out = jsonedit.AppendName(c.out, name)
		return c.schema()
	}
	value, err := c.dec.ReadValue()
	if err != nil {
		return err
	}
	switch {
	case name == "description":
		end.description = value.Clone()
	case name == "additionalProperties" && string(value) == "false":
		end.closed = true
	case name == "additionalProperties" && string(value) == "true":
		c.changed = true
	case name == "format" && knownFormat(value):
		c.out = jsonedit.AppendMember(c.out, name, value)
	case name == "format", unsupported(name):
		end.note(name, value)
	default:
		if name == "type" {
			end.typed = true
			end.object = bytes.Contains(value, []byte(`"object"`))
		}
		c.out = jsonedit.AppendMember(c.out, name, value)
	}
	return nil
}

func (e *closing) note(name string, value jsontext.Value) {
	if len(e.notes) > 0 {
		e.notes = append(e.notes, "; "...)
	}
	e.notes = append(append(append(e.notes, name...), ": "...), value...)
}

// each copies the schemas in an array or an object.
func (c *schemaCleaner) each(open, shut jsontext.Kind) error {
	if c.dec.PeekKind() != open {
		return c.copy()
	}
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	c.out = append(c.out, byte(open))
	for c.dec.PeekKind() != shut {
		if open == '{' {
			name, err := c.dec.ReadToken()
			if err != nil {
				return err
			}
			c.out = jsonedit.AppendName(c.out, name.String())
		} else {
			c.out = jsonedit.AppendComma(c.out)
		}
		if err := c.schema(); err != nil {
			return err
		}
	}
	_, err := c.dec.ReadToken()
	c.out = append(c.out, byte(shut))
	return err
}

func (c *schemaCleaner) copy() error {
	value, err := c.dec.ReadValue()
	c.out = append(c.out, value...)
	return err
}

// unsupported lists the keywords that Anthropic does not compile.
func unsupported(name string) bool {
	switch name {
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "pattern", "contentEncoding", "contentMediaType",
		"minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems", "additionalItems",
		"minProperties", "maxProperties", "propertyNames", "patternProperties", "additionalProperties",
		"dependentRequired", "dependentSchemas", "dependencies", "unevaluatedItems", "unevaluatedProperties",
		"if", "then", "else", "not", "anyOf", "oneOf":
		return true
	}
	return false
}

// knownFormat reports whether Anthropic enforces a format of strings.
func knownFormat(value jsontext.Value) bool {
	switch string(value) {
	case `"date-time"`, `"time"`, `"date"`, `"duration"`, `"email"`, `"hostname"`, `"uri"`, `"ipv4"`, `"ipv6"`, `"uuid"`:
		return true
	}
	return false
}
