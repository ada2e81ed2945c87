package gemini

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// member is one member of a JSON object.
type member struct {
	name  string
	value jsontext.Value
}

// node is one schema with its references and allOf members gathered in: the
// first value of each keyword, and all properties and required names.
type node struct {
	types              []string // in lower case, without "null"
	several            bool     // the schema lists types
	nullable           bool
	title, description jsontext.Value
	format, items      jsontext.Value
	enum               []jsontext.Value
	anyOf              []jsontext.Value
	properties         []member
	required           []string
	keywords           []member // numbers, pattern, default, example: kept as they are
}

// gather reads a schema into n, on top of what n has. A schema that refers to
// itself ends at its second appearance, as an object of anything.
func (w *schemaWriter) gather(n *node, schema jsontext.Value, depth int) error {
	if schema.Kind() != '{' {
		return nil // true and false: anything
	}
	if depth > maxSchemaDepth || len(w.active) > maxSchemaDepth {
		return errSchemaTooLarge
	}
	if w.work += len(schema); w.work > maxSchemaWork {
		return errSchemaTooLarge
	}
	object, err := jsonedit.Parse(schema)
	if err != nil {
		return err
	}
	for _, m := range object.Members() {
		n.take(m.Name, object.Value(m))
	}
	if all, ok := object.Get("allOf"); ok {
		for part := range jsonedit.Elements(all) {
			if err := w.gather(n, part, depth+1); err != nil {
				return err
			}
		}
	}
	if ref, ok := object.Get("$ref"); ok {
		return w.follow(n, text(ref), depth)
	}
	return nil
}

// follow gathers what a reference points to.
func (w *schemaWriter) follow(n *node, ref string, depth int) error {
	if slices.Contains(w.active, ref) {
		if len(n.types) == 0 {
			n.types = []string{"object"}
		}
		return nil
	}
	w.active = append(w.active, ref)
	target := w.resolve(ref)
	if target == nil {
		return nil // points nowhere: anything
	}
	return w.gather(n, target, depth+1)
}

// resolve returns the schema at a reference inside the document (#/$defs/Name,
// #/definitions/Name, #), or nil.
func (w *schemaWriter) resolve(ref string) jsontext.Value {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || strings.Count(pointer, "/") > maxSchemaDepth {
		return nil
	}
	if pointer == "" {
		return w.root
	}
	slash := strings.LastIndexByte(pointer, '/')
	if slash < 0 {
		return nil
	}
	home := w.objectAt(pointer[:slash])
	if home == nil {
		return nil
	}
	name := strings.ReplaceAll(strings.ReplaceAll(pointer[slash+1:], "~1", "/"), "~0", "~")
	value, _ := home.Get(name)
	return value
}

// objectAt returns the object at a JSON pointer, or nil. Schemas keep what they
// refer to in one place: it is parsed once.
func (w *schemaWriter) objectAt(pointer string) *jsonedit.Object {
	if object, ok := w.homes[pointer]; ok {
		return object
	}
	value := w.root
	if pointer != "" {
		value = w.resolve("#" + pointer)
	}
	w.work += len(value)
	object, err := jsonedit.Parse(value)
	if err != nil {
		object = nil
	}
	if w.homes == nil {
		w.homes = map[string]*jsonedit.Object{}
	}
	w.homes[pointer] = object
	return object
}

// take reads one keyword.
func (n *node) take(name string, value jsontext.Value) {
	switch name {
	case "type":
		n.takeType(value)
	case "nullable":
		n.nullable = n.nullable || string(value) == "true"
	case "title":
		first(&n.title, value)
	case "description":
		first(&n.description, value)
	case "format":
		first(&n.format, value)
	case "items", "prefixItems":
		first(&n.items, value)
	case "const":
		n.takeEnum([]jsontext.Value{value})
	case "enum":
		n.takeEnum(slices.Collect(jsonedit.Elements(value)))
	case "anyOf", "oneOf":
		if len(n.anyOf) == 0 {
			n.anyOf = slices.Collect(jsonedit.Elements(value))
		}
	case "properties":
		n.takeProperties(value)
	case "required":
		var names []string
		if json.Unmarshal(value, &names) == nil {
			n.required = append(n.required, names...)
		}
	case "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum", "minLength", "maxLength",
		"pattern", "default", "example":
		if value.Kind() != 'n' && !slices.ContainsFunc(n.keywords, func(k member) bool { return k.name == name }) {
			n.keywords = append(n.keywords, member{name, value})
		}
	}
}

func first(into *jsontext.Value, value jsontext.Value) {
	if *into == nil {
		*into = value
	}
}

// takeType reads a type name or a list of them.
func (n *node) takeType(value jsontext.Value) {
	list := []jsontext.Value{value}
	if value.Kind() == '[' {
		list = slices.Collect(jsonedit.Elements(value))
		n.several = n.several || len(list) > 1
	}
	given := len(n.types) > 0
	for _, v := range list {
		switch name := strings.ToLower(text(v)); name {
		case "null":
			n.nullable = true
		case "string", "number", "integer", "boolean", "array", "object":
			if !given && !slices.Contains(n.types, name) {
				n.types = append(n.types, name)
			}
		}
	}
}

func (n *node) takeEnum(values []jsontext.Value) {
	for _, v := range values {
		n.nullable = n.nullable || v.Kind() == 'n'
	}
	if n.enum == nil {
		n.enum = values
	}
}

func (n *node) takeProperties(value jsontext.Value) {
	if value.Kind() != '{' {
		return
	}
	object, err := jsonedit.Parse(value)
	if err != nil {
		return
	}
	for _, m := range object.Members() {
		if !n.defines(m.Name) {
			n.properties = append(n.properties, member{m.Name, object.Value(m)})
		}
	}
}

func (n *node) defines(name string) bool {
	return slices.ContainsFunc(n.properties, func(p member) bool { return p.name == name })
}

func (n *node) names() []string {
	names := make([]string, len(n.properties))
	for i := range n.properties {
		names[i] = n.properties[i].name
	}
	return names
}

// structured reports whether the node says itself what its members are.
func (n *node) structured() bool { return len(n.properties) > 0 || n.items != nil }

// kind returns the type of the node; where the schema has none, what its other
// keywords tell, else "".
func (n *node) kind() string {
	switch {
	case len(n.types) > 0:
		return n.types[0]
	case len(n.properties) > 0:
		return "object"
	case n.items != nil:
		return "array"
	case len(n.enum) > 0 && n.enum[0].Kind() == '"', n.nullable:
		return "string"
	}
	return ""
}

// text returns a JSON string, "" for anything else.
func text(value jsontext.Value) string {
	var s string
	if value.Kind() == '"' {
		_ = json.Unmarshal(value, &s) // validated with the request
	}
	return s
}
