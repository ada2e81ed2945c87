package litellm

import "strings"

// Restricting lists the settings of LiteLLM's that are refused, for who has misspelt
// one.
func Restricting() []string {
	var names []string
	for _, r := range Rules(Settings) {
		if r.Answer == Refused {
			names = append(names, strings.Fields(r.Names)...)
		}
	}
	return names
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
