package gemini

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// Bounds on a schema once its references are written out.
const (
	maxSchemaSize  = 1 << 20  // bytes written
	maxSchemaWork  = 32 << 20 // bytes read, each as often as it is read
	maxSchemaDepth = 64
)

var errSchemaTooLarge = errors.New("the schema is too large once its $refs are written out")

// schemaWriter rewrites one JSON Schema in the subset of OpenAPI that Gemini
// calls Schema: no references, no unions but anyOf, null as nullable, and only
// the keywords it knows. What it does not know is left out: the schema gets
// wider, never narrower.
// https://ai.google.dev/api/caching#Schema
type schemaWriter struct {
	root     jsontext.Value
	ordering bool                        // write propertyOrdering, which responseSchema wants
	active   []string                    // the references being written out, to end recursion
	homes    map[string]*jsonedit.Object // where references point into, by JSON pointer
	work     int                         // bytes read so far
	out      []byte
}

// cleanSchema returns a JSON Schema in Gemini's form. The error says why it
// cannot be done.
func cleanSchema(schema jsontext.Value, ordering bool) ([]byte, error) {
	w := &schemaWriter{root: schema, ordering: ordering}
	if err := w.write(schema, 0); err != nil {
		return nil, err
	}
	return w.out, nil
}

// write appends one schema.
func (w *schemaWriter) write(schema jsontext.Value, depth int) error {
	if depth > maxSchemaDepth || len(w.out) > maxSchemaSize {
		return errSchemaTooLarge
	}
	active := len(w.active)
	defer func() { w.active = w.active[:active] }()
	var n node
	if err := w.gather(&n, schema, depth); err != nil {
		return err
	}
	if err := w.settle(&n, depth); err != nil {
		return err
	}
	return w.writeNode(&n, depth)
}

// settle turns the unions of a node into what Gemini has: null members become
// nullable, a union of one is that one, and a union that only narrows what
// stands beside it is left out. Unions lose their title: Gemini takes little
// beside anyOf, and generators only repeat the property's name there.
func (w *schemaWriter) settle(n *node, depth int) error {
	title := n.title
	if n.several || len(n.anyOf) > 0 && !n.hasOwnType() {
		title = nil
	}
	defer func() { n.title = title }() // not that of its only member
	for range maxSchemaDepth {
		if n.hasOwnType() {
			n.anyOf = nil
		}
		n.anyOf = slices.DeleteFunc(n.anyOf, func(member jsontext.Value) bool {
			null := isNull(member)
			n.nullable = n.nullable || null
			return null
		})
		if len(n.anyOf) != 1 {
			return nil
		}
		only := n.anyOf[0]
		n.anyOf = nil
		if err := w.gather(n, only, depth); err != nil {
			return err
		}
	}
	return errSchemaTooLarge
}

func isNull(schema jsontext.Value) bool {
	var s struct {
		Type jsontext.Value `json:"type"`
	}
	return schema.Kind() == '{' && json.Unmarshal(schema, &s) == nil && string(s.Type) == `"null"`
}

// hasOwnType reports whether the node says what it is beside its union.
func (n *node) hasOwnType() bool {
	return n.structured() || len(n.types) == 1 && !slices.ContainsFunc(n.anyOf, typed)
}

// typed reports whether a member of a union says what it is, rather than only
// what it requires.
func typed(schema jsontext.Value) bool {
	for _, keyword := range [...]string{"type", "properties", "$ref", "enum", "const", "anyOf", "oneOf", "allOf"} {
		if jsonedit.Find(schema, keyword) >= 0 {
			return true
		}
	}
	return false
}

func (w *schemaWriter) writeNode(n *node, depth int) error {
	w.out = append(w.out, '{')
	for _, m := range [...]member{{"title", n.title}, {"description", n.description}} {
		if m.value.Kind() == '"' {
			w.out = jsonedit.AppendMember(w.out, m.name, m.value)
		}
	}
	var err error
	if len(n.anyOf) > 0 || len(n.types) > 1 {
		err = w.writeUnion(n, depth)
	} else {
		err = w.writeSingle(n, depth)
	}
	w.out = append(w.out, '}')
	return err
}

// writeUnion appends anyOf. Nothing but a title and a description may stand
// beside it, so its members carry the nullable.
func (w *schemaWriter) writeUnion(n *node, depth int) error {
	members := n.anyOf
	if len(members) == 0 {
		for _, t := range n.types {
			m := jsontext.Value(`{"type":"` + t + `"}`)
			if t == "array" && n.items != nil {
				m = append(jsonedit.AppendMember(m[:len(m)-1], "items", n.items), '}')
			}
			members = append(members, m)
		}
	}
	w.out = append(jsonedit.AppendName(w.out, "anyOf"), '[')
	for _, m := range members {
		w.out = jsonedit.AppendComma(w.out)
		if err := w.write(m, depth+1); err != nil {
			return err
		}
		if n.nullable {
			w.out = appendNullable(w.out)
		}
	}
	w.out = append(w.out, ']')
	return nil
}

// appendNullable adds nullable to the object that was just written, unless it
// has it: it is then the last member, see writeSingle.
func appendNullable(out []byte) []byte {
	if strings.HasSuffix(string(out[max(0, len(out)-16):]), `"nullable":true}`) {
		return out
	}
	return append(jsonedit.AppendMember(out[:len(out)-1], "nullable", jsontext.Value("true")), '}')
}

func (w *schemaWriter) writeSingle(n *node, depth int) error {
	kind := n.kind()
	if kind != "" {
		w.out = append(jsonedit.AppendName(w.out, "type"), `"`+kind+`"`...)
	}
	for _, k := range n.keywords {
		w.out = jsonedit.AppendMember(w.out, k.name, k.value)
	}
	if string(n.format) == `"date-time"` || string(n.format) == `"enum"` {
		w.out = jsonedit.AppendMember(w.out, "format", n.format)
	}
	w.writeEnum(n, kind)
	if err := w.writeItems(n, kind, depth); err != nil {
		return err
	}
	if err := w.writeProperties(n, depth); err != nil {
		return err
	}
	if n.nullable {
		w.out = jsonedit.AppendMember(w.out, "nullable", jsontext.Value("true"))
	}
	return nil
}

// writeEnum appends the values of a string; other types can have none, and no
// value may be empty.
func (w *schemaWriter) writeEnum(n *node, kind string) {
	if kind != "string" {
		return
	}
	first := true
	for _, v := range n.enum {
		if v.Kind() != '"' || len(v) == len(`""`) {
			continue
		}
		if first {
			w.out = append(jsonedit.AppendName(w.out, "enum"), '[')
			first = false
		}
		w.out = append(jsonedit.AppendComma(w.out), v...)
	}
	if !first {
		w.out = append(w.out, ']')
	}
}

// writeItems appends what an array holds, which Gemini wants to know.
func (w *schemaWriter) writeItems(n *node, kind string, depth int) error {
	if kind != "array" {
		return nil
	}
	w.out = jsonedit.AppendName(w.out, "items")
	items := n.items
	if items.Kind() == '[' { // a tuple, of JSON Schema before 2020-12
		items = slices.Concat(jsontext.Value(`{"anyOf":`), items, jsontext.Value("}"))
	}
	start := len(w.out)
	if items.Kind() == '{' {
		if err := w.write(items, depth+1); err != nil {
			return err
		}
	}
	if len(w.out)-start <= len("{}") {
		w.out = append(w.out[:start], `{"type":"object"}`...)
	}
	return nil
}

func (w *schemaWriter) writeProperties(n *node, depth int) error {
	if len(n.properties) == 0 {
		return nil
	}
	w.out = append(jsonedit.AppendName(w.out, "properties"), '{')
	for _, p := range n.properties {
		w.out = jsonedit.AppendName(w.out, p.name)
		if err := w.write(p.value, depth+1); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	w.writeNames("required", n.required, n.defines)
	if w.ordering {
		w.writeNames("propertyOrdering", n.names(), n.defines)
	}
	return nil
}

// writeNames appends a list of property names, those that keep accepts.
func (w *schemaWriter) writeNames(keyword string, names []string, keep func(string) bool) {
	names = slices.DeleteFunc(names, func(name string) bool { return !keep(name) })
	if len(names) == 0 {
		return
	}
	w.out = append(jsonedit.AppendName(w.out, keyword), '[')
	for _, name := range names {
		w.out = jsonedit.AppendString(jsonedit.AppendComma(w.out), name)
	}
	w.out = append(w.out, ']')
}
