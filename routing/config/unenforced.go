package config

import (
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/litellm"
)

// answer says what becomes of a key that LiteLLM reads and isthmus does not. It is
// false for one that LiteLLM does not read there, or that isthmus does.
func (v value) answer(s litellm.Section) bool {
	e, ok := litellm.Lookup(s, v.name)
	switch {
	case !ok:
		return false
	case e.Answer == litellm.Refused:
		v.unenforced(v.name, e.Note)
	case e.Answer == litellm.Ignored:
		v.ignored(e.Note)
	default:
		return false
	}
	return true
}

func (v value) ignored(note string) {
	if note != "" {
		note = "; " + note
	}
	v.say(Warning, "not supported by isthmus: ignored%s", note)
}

// unenforced notes that the value restricts what isthmus would let through: an error,
// unless the user goes on by that name. One that is off restricts nothing.
func (v value) unenforced(name, remedy string) {
	switch {
	case v.name == "ssl_verify" && v.present() && v.node.Value == "false":
		v.say(Warning, "isthmus always verifies the certificates of providers: ignored")
	case !v.on():
	case slices.Contains(v.r.allowed, name):
		v.r.unenforced = append(v.r.unenforced, name)
		v.say(Warning, "NOT ENFORCED, as --allow-unenforced says: %s", remedy)
	default:
		v.r.refused = append(v.r.refused, name)
		v.fail("isthmus does not enforce it: %s. To go on without it: --allow-unenforced %s", remedy, name)
	}
}

// on reports whether a setting that restricts does: not when it is empty, null or
// false. A budget of 0 is none, and certificates are verified anyway. One whose
// variable is not set does: what it is where the variable is set is not known.
func (v value) on() bool {
	if !v.present() {
		return false
	}
	if len(v.node.Content) > 0 {
		return true
	}
	text, ok := v.r.plain(v)
	if !ok {
		return v.name != "ssl_verify"
	}
	switch strings.ToLower(text) {
	case "", "false", "no", "off", "none", "null":
		return false
	case "0", "0.0":
		return !strings.Contains(v.name, "budget")
	case "true":
		return v.name != "ssl_verify"
	}
	return true
}

// plain is the text of a scalar, with a variable resolved.
func (r *reader) plain(v value) (string, bool) {
	if name, ok := v.envName(); ok {
		return r.env.get(name)
	}
	return v.node.Value, true
}

// checkAllowed looks at the names that the user goes on without. One that restricts
// nothing in this file any more may stay; one that never could is a mistake.
func (r *reader) checkAllowed() {
	for _, name := range r.allowed {
		switch {
		case slices.Contains(r.unenforced, name):
		case restrictsSomewhere(name):
			r.note(Notice, "--allow-unenforced "+name+": nothing of that name restricts in this config")
		case len(r.refused) > 0:
			r.note(Error, "--allow-unenforced "+name+": no such name; those of this config are "+strings.Join(compact(r.refused), ", "))
		default:
			r.note(Error, "--allow-unenforced "+name+": no such name; nothing in this config needs one")
		}
	}
}

// restrictsSomewhere reports whether a name can be one that isthmus does not enforce.
// A callback's Python class has a dot.
func restrictsSomewhere(name string) bool {
	for _, s := range litellm.Sections() {
		if e, ok := litellm.Lookup(s, name); ok && e.Answer == litellm.Refused {
			return true
		}
	}
	return strings.Contains(name, ".")
}

func (r *reader) note(s Severity, message string) {
	r.diagnostics = append(r.diagnostics, Diagnostic{Severity: s, Message: message})
}
