package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// reader reads one configuration and gathers its diagnostics.
type reader struct {
	env    *environment
	strict bool

	read          func(string) ([]byte, error) // see Options
	keysElsewhere bool                         // see Options
	command       func(string) error           // see Options
	paramTypes    map[string]paramType
	credentials   map[string]credential // credential_list, by name
	firstTokens   []value               // every ttft_timeout that bounds something
	redactor      *secret.Redactor      // of messages
	files, values int                   // read and looked at: see bounds.go
	counts        [Error + 1]int        // diagnostics of each severity
	diagnostics   Diagnostics

	allowed    []string // names that may restrict without being enforced: see Options
	unenforced []string // those of them that do
	refused    []string // names that restrict and are not allowed

	defaultParams value // default_litellm_params
}

// value is one YAML node and where it stands.
type value struct {
	r    *reader
	file string
	key  string // the whole path, for messages
	name string // its last part
	node *yaml.Node
}

func (v value) say(s Severity, format string, args ...any) {
	if v.r.counts[s]++; v.r.counts[s] > maxDiagnostics {
		return // enough of this severity, errors too, stands there
	}
	line := 1 // an empty file has no node
	if v.node != nil {
		line = v.node.Line
	}
	v.r.diagnostics = append(v.r.diagnostics, Diagnostic{
		File: v.file, Line: line, Key: v.r.redactor.Redact(v.key), Severity: s, Message: v.r.redactor.Redact(fmt.Sprintf(format, args...)),
	})
}

func (v value) fail(format string, args ...any) { v.say(Error, format, args...) }

// resolved follows YAML aliases.
func (v value) resolved() value {
	for v.node != nil && v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	return v
}

func (v value) present() bool {
	return v.node != nil && (v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!null")
}

// envName returns the variable that the value refers to.
func (v value) envName() (string, bool) {
	if v.node == nil || v.node.Kind != yaml.ScalarNode {
		return "", false
	}
	return strings.CutPrefix(v.node.Value, "os.environ/")
}

// scalar returns the text of a scalar, with os.environ/ resolved. ok is false
// when it is absent, not a scalar (an error is noted) or an unset variable.
func (v value) scalar(want string) (string, bool) {
	if !v.present() {
		return "", false
	}
	if v.node.Kind != yaml.ScalarNode {
		v.fail("want %s, got %s", want, v.got())
		return "", false
	}
	if name, ok := v.envName(); ok {
		return v.r.env.get(name)
	}
	return v.node.Value, true
}

// got is what stands there, for an error message.
func (v value) got() string {
	switch v.node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return v.shown()
}

func (v value) str(into *string) {
	if s, ok := v.scalar("text"); ok {
		*into = s
	}
}

// secret reads a text that is not to be shown. A line break at its end is of the
// file that it was kept in.
func (v value) secret(into *secret.Text) {
	if s, ok := v.scalar("text"); ok {
		*into = secret.New(strings.TrimRight(s, "\r\n"))
	}
}

func (v value) boolean(into *bool) {
	s, ok := v.scalar("true or false")
	if !ok {
		return
	}
	b, ok := boolText(s)
	if !ok {
		v.fail("want true or false, got %s", v.shown())
		return
	}
	*into = b
}

// number reads a number of at least least; whole says that it has no fraction.
func (v value) number(least float64, whole bool) (float64, bool) {
	want := "a number"
	if whole {
		want = "a whole number"
	}
	if least >= 0 {
		want += " of at least " + strconv.FormatFloat(least, 'g', -1, 64)
	}
	s, ok := v.scalar(want)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < least || whole && f != math.Trunc(f) {
		v.fail("want %s, got %s", want, v.shown())
		return 0, false
	}
	if whole && f > maxWhole {
		v.fail("%s is too large", v.shown())
		return 0, false
	}
	return f, true
}

const (
	maxWhole   = 1 << 53              // above it a float64 skips whole numbers
	maxSeconds = 10 * 365 * 24 * 3600 // ten years: more is a mistake, and soon more than a Duration holds

	leastSeconds = 0.001 // of a time that is not 0
)

func (v value) integer(into *int, least int) {
	if f, ok := v.number(float64(least), true); ok {
		*into = int(f)
	}
}

func (v value) integer64(into *int64, least int) {
	if f, ok := v.number(float64(least), true); ok {
		*into = int64(f)
	}
}

func (v value) optionalInt(into **int, least int) {
	if f, ok := v.number(float64(least), true); ok {
		n := int(f)
		*into = &n
	}
}

func (v value) float(into *float64, least float64) {
	if f, ok := v.number(least, false); ok {
		*into = f
	}
}

func (v value) optionalFloat(into **float64, least float64) {
	if f, ok := v.number(least, false); ok {
		*into = &f
	}
}

// seconds reads a number of seconds.
func (v value) seconds(into *time.Duration, least float64) {
	f, ok := v.number(least, false)
	switch {
	case !ok:
	case f != 0 && f < leastSeconds:
		v.fail("want seconds, and at least %g of them unless it is 0, got %s", leastSeconds, v.shown())
	case f > maxSeconds:
		v.fail("%s is too large: want seconds, %d at most", v.shown(), maxSeconds)
	default:
		*into = time.Duration(f * float64(time.Second))
	}
}

// positiveSeconds reads a number of seconds that must not be 0, which would read as if
// nothing were said; instead is what to say for it.
func (v value) positiveSeconds(into *time.Duration, instead string) {
	switch f, ok := v.number(0, false); {
	case !ok:
	case f < leastSeconds:
		v.fail("want at least %g seconds, got %s: %s", leastSeconds, v.shown(), instead)
	default:
		v.seconds(into, 0)
	}
}

func (v value) optionalSeconds(into **time.Duration, least float64) {
	d := time.Duration(-1)
	if v.seconds(&d, least); d >= 0 {
		*into = &d
	}
}

// items returns the elements of a list; a single scalar is a list of one.
func (v value) items() []value {
	if !v.present() {
		return nil
	}
	switch v.node.Kind {
	case yaml.SequenceNode:
		if !v.enter() {
			return nil
		}
		out := make([]value, len(v.node.Content))
		for i, n := range v.node.Content {
			out[i] = value{v.r, v.file, inPath(v.key, fmt.Sprintf("[%d]", i)), v.name, n}.resolved()
		}
		return out
	case yaml.ScalarNode:
		return []value{v}
	}
	v.fail("want a list, got %s", v.got())
	return nil
}

// strings reads a list of texts.
func (v value) strings(into *[]string) {
	if !v.present() {
		return
	}
	var out []string
	for _, item := range v.items() {
		if s, ok := item.scalar("text"); ok {
			out = append(out, s)
		}
	}
	*into = out
}

// fields returns the members of a mapping in order, with merge keys (<<)
// followed. A duplicate key is an error.
func (v value) fields() []value {
	if !v.present() {
		return nil
	}
	switch v.node.Kind {
	case yaml.MappingNode:
	case yaml.ScalarNode: // not shown: it may hold keys and values as text
		v.fail("want a mapping of keys and values, got text")
		return nil
	default:
		v.fail("want a mapping of keys and values, got %s", v.got())
		return nil
	}
	return v.members(map[string]int{}, 0)
}

// maxMerges bounds nested merge keys.
const maxMerges = 32

func (v value) members(seen map[string]int, depth int) []value {
	if !v.enter() {
		return nil
	}
	var out, merged []value
	own := map[string]bool{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		name, n := v.node.Content[i], v.node.Content[i+1]
		if name.Tag == "!!merge" {
			merged = append(merged, value{v.r, v.file, v.key, v.name, n}.resolved())
			continue
		}
		field := value{v.r, v.file, join(v.key, name.Value), name.Value, n}.resolved()
		if own[name.Value] {
			value{v.r, v.file, field.key, field.name, name}.fail("the key is there twice; the first is in line %d", seen[name.Value])
			continue
		}
		own[name.Value] = true
		if _, ok := seen[name.Value]; !ok {
			seen[name.Value] = name.Line
			out = append(out, field)
		}
	}
	for _, m := range merged {
		out = append(out, m.merged(seen, depth+1)...)
	}
	return out
}

// merged returns the members that a merge key brings in: those of a mapping, or of
// several in a list, of which the first wins.
func (v value) merged(seen map[string]int, depth int) []value {
	switch {
	case depth > maxMerges:
		return nil
	case v.node.Kind == yaml.MappingNode:
		return v.members(seen, depth)
	case v.node.Kind != yaml.SequenceNode:
		v.fail("<< wants a mapping, or a list of mappings, got %s", v.got())
		return nil
	}
	if !v.enter() {
		return nil
	}
	var out []value
	for _, n := range v.node.Content {
		out = append(out, value{v.r, v.file, v.key, v.name, n}.resolved().merged(seen, depth+1)...)
	}
	return out
}

func join(path, name string) string {
	if path != "" {
		name = "." + name
	}
	return inPath(path, name)
}
