package translatetest

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// generated stands for any text that is not empty, such as an id that the
// gateway makes up.
const generated = "{{GENERATED}}"

// literal is the pointer step below which null differs from absent: the
// arguments of a tool call are data, not an API's object.
const literal = "/__json__"

// rules are the places of a case where more than one value is right, by JSON
// pointer.
type rules struct {
	lenient      map[string]string
	alternatives map[string][]any
}

func (r *rules) readLenient(data []byte) error {
	for scan := bufio.NewScanner(bytes.NewReader(data)); scan.Scan(); {
		pointer, rule, _ := strings.Cut(scan.Text(), " ")
		switch rule {
		case "ignore", "positive_int", "nonempty_string", "absent_or_equal", "json_string_equal":
			r.lenient[pointer] = rule
		default:
			return fmt.Errorf("%q is no rule", rule)
		}
	}
	return nil
}

// below returns the rules under a pointer, with the pointer cut off.
func (r rules) below(prefix string) rules {
	out := rules{lenient: map[string]string{}, alternatives: map[string][]any{}}
	for pointer, rule := range r.lenient {
		if rest, ok := strings.CutPrefix(pointer, prefix); ok {
			out.lenient[rest] = rule
		}
	}
	for pointer, values := range r.alternatives {
		if rest, ok := strings.CutPrefix(pointer, prefix); ok {
			out.alternatives[rest] = values
		}
	}
	return out
}

// difference compares two JSON values and collects what differs.
type difference struct {
	rules
	found []string
}

func (d *difference) add(path, format string, args ...any) {
	d.found = append(d.found, path+": "+fmt.Sprintf(format, args...))
}

func (d *difference) compare(path string, want, got any) {
	if rule, ok := d.lenient[path]; ok {
		if !allowed(rule, want, got) {
			d.add(path, "%s breaks the rule %s (golden: %s)", show(got), rule, show(want))
		}
		return
	}
	if slices.ContainsFunc(d.alternatives[path], func(v any) bool { return equal(v, got) }) {
		return
	}
	if want == generated {
		if text, ok := got.(string); !ok || text == "" {
			d.add(path, "want a text that is not empty, got %s", show(got))
		}
		return
	}
	switch want := want.(type) {
	case map[string]any:
		if got, ok := got.(map[string]any); ok {
			d.objects(path, want, got)
			return
		}
	case []any:
		if got, ok := got.([]any); ok {
			d.arrays(path, want, got)
			return
		}
	case float64:
		if got, ok := got.(float64); ok && math.Abs(want-got) <= 1e-9 {
			return
		}
	default:
		if want == got {
			return
		}
	}
	d.add(path, "want %s, got %s", show(want), show(got))
}

func (d *difference) objects(path string, want, got map[string]any) {
	names := maps.Clone(want)
	maps.Copy(names, got)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		at := path + "/" + escape(name)
		w, wanted := want[name]
		g, given := got[name]
		_, ruled := d.lenient[at]
		if w == nil && g == nil && (wanted == given || !ruled && !strings.Contains(path, literal)) {
			continue // null is absent, except inside tool arguments
		}
		switch {
		case wanted && given, !wanted && ruled && d.lenient[at] == "ignore", !given && ruled:
			d.compare(at, w, g)
		case slices.ContainsFunc(d.alternatives[at], func(v any) bool { return equal(v, g) }):
		case wanted:
			d.add(at, "missing, want %s", show(w))
		default:
			d.add(at, "unexpected %s", show(g))
		}
	}
}

func (d *difference) arrays(path string, want, got []any) {
	if len(want) != len(got) {
		d.add(path, "want %d items, got %d: %s", len(want), len(got), show(got))
		return
	}
	for i := range want {
		d.compare(path+"/"+strconv.Itoa(i), want[i], got[i])
	}
}

func equal(a, b any) bool {
	var d difference
	d.compare("", a, b)
	return len(d.found) == 0
}

// allowed reports whether a lenient place's rule holds.
func allowed(rule string, want, got any) bool {
	text, isText := got.(string)
	switch rule {
	case "ignore":
		return true
	case "positive_int":
		n, ok := got.(float64)
		return ok && n > 0 && n == math.Trunc(n)
	case "nonempty_string":
		return isText && text != ""
	case "absent_or_equal":
		return got == nil || equal(want, got)
	case "json_string_equal":
		golden, ok := want.(string)
		a, errA := parseJSON(golden)
		b, errB := parseJSON(text)
		return ok && isText && errA == nil && errB == nil && equal(a, b)
	}
	return false
}

func parseJSON(text string) (any, error) {
	var v any
	err := json.Unmarshal([]byte(text), &v)
	return v, err
}

// show is a value as JSON, cut short.
func show(v any) string {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err.Error()
	}
	if len(text) > 300 {
		return string(text[:300]) + "…"
	}
	return string(text)
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

func escape(name string) string { return escaper.Replace(name) }

// steps parts a JSON pointer.
func steps(pointer string) []string {
	if pointer = strings.Trim(pointer, "/"); pointer == "" {
		return nil
	}
	parts := strings.Split(pointer, "/")
	for i, p := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts
}

// at returns the value at a pointer, or nil.
func at(v any, path []string) any {
	for _, step := range path {
		switch parent := v.(type) {
		case map[string]any:
			v = parent[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(parent) {
				return nil
			}
			v = parent[i]
		default:
			return nil
		}
	}
	return v
}

// with returns a copy of v with another value at a pointer.
func with(v any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	switch parent := v.(type) {
	case map[string]any:
		out := maps.Clone(parent)
		out[path[0]] = with(parent[path[0]], path[1:], value)
		return out
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(parent) {
			out := slices.Clone(parent)
			out[i] = with(parent[i], path[1:], value)
			return out
		}
	}
	return v
}
