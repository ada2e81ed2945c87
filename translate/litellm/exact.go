package litellm

import "strings"

// Restricting lists the names of a section that are refused, for who has misspelt one.
func Restricting(s Section) []string {
	var names []string
	for _, r := range Rules(s) {
		if r.Answer == Refused {
			names = append(names, strings.Fields(r.Names)...)
		}
	}
	return names
}

// Restriction is the answer to a name that is refused in one of the sections, by its
// own name and not by a pattern. ok is false for any other.
func Restriction(name string, sections ...Section) (e Entry, ok bool) {
	for _, s := range sections {
		if e, ok := indices()[s].exact[name]; ok && e.Answer == Refused {
			return e, true
		}
	}
	return Entry{}, false
}

// Where returns the section in which LiteLLM, or this gateway, reads a name, and not
// merely names like it: the patterns of the table do not count. ok is false for a
// name that is read nowhere. Variables of the environment and callbacks are no keys.
func Where(name string) (s Section, ok bool) {
	for _, s := range []Section{Params, Settings, CacheParams, Top, ModelInfo} {
		if _, ok := indices()[s].exact[name]; ok {
			return s, true
		}
	}
	return "", false
}
