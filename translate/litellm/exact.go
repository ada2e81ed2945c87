package litellm

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
