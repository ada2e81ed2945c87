package config

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// restricting are the settings that hold something back. Who has misspelt one
// believes in what is not there.
func restricting() []string {
	return []string{
		"master_key", "tenant_header", "tenant_limits", "model_group_limits", "max_parallel_requests", "max_request_body_bytes",
		"max_request_size_mb", "enable_tag_filtering", "turn_off_message_logging",
	}
}

// lost reports whether the key, which nobody reads where it stands, was to hold
// something back, and says so: an error.
func (v value) lost() bool {
	if v.misspeltRestriction() {
		return true
	}
	if v.node == nil || v.node.Kind != yaml.MappingNode || v.node.Anchor != "" {
		return false // what has an anchor is used where that is named
	}
	names := []string{"master_key"}
	if v.meant(sections()) != "" {
		names = restricting()
	}
	return v.lostInside(names, 0)
}

// misspeltRestriction is lost by the name of the key alone.
func (v value) misspeltRestriction() bool {
	like := v.meant(restricting())
	if like == "" {
		return false
	}
	v.lostAs(like)
	return true
}

// unset reports whether the setting holds something back and its variable is not
// set, so that it would hold back nothing: an error.
func (v value) unset() bool {
	name, ok := v.unsetVariable()
	if !ok || v.name == "master_key" || !slices.Contains(restricting(), v.name) {
		return false // master_key has words of its own
	}
	v.fail("$%s is not set, and nothing would be held back: set it, or remove %s", name, v.name)
	return true
}

// unsetVariable is the variable that the value is and that is not set, where it ought
// to be.
func (v value) unsetVariable() (string, bool) {
	name, ok := v.envName()
	if !ok || v.r.keysElsewhere {
		return "", false
	}
	_, set := v.r.env.get(name)
	return name, !set
}

// lostInside looks for such keys among the members.
func (v value) lostInside(names []string, depth int) bool {
	found := false
	for _, f := range v.fields() {
		if like := f.meant(names); like != "" {
			f.lostAs(like)
			found = true
		} else if depth < maxNesting && f.node.Kind == yaml.MappingNode && f.node.Anchor == "" {
			found = f.lostInside(names, depth+1) || found
		}
	}
	return found
}

// lostAs says that what the key was to hold back is let through.
func (v value) lostAs(meant string) {
	what := "nothing is held back"
	if meant == "master_key" {
		what = "everybody is let in"
	}
	if v.name != meant {
		v.fail("unknown key, and so %s: did you mean %q?", what, meant)
		return
	}
	place := "general_settings"
	if meant == "max_parallel_requests" {
		place += ", or litellm_params for one deployment"
	}
	v.fail("nobody reads it here, and so %s: it belongs in %s", what, place)
}

// meant is which of the names the key is, if not in its spelling; "" for none. A
// name that means something else is none.
func (v value) meant(names []string) string {
	if slices.Contains(names, v.name) {
		return v.name
	}
	if v.r.place(v.name) != "" {
		return ""
	}
	name := strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(v.name))
	name = strings.TrimPrefix(name, "litellm_")
	for _, like := range names {
		if strings.HasSuffix(name, like) || editDistance(name, like) <= 1+len(like)/8 {
			return like
		}
	}
	return ""
}

// lostParam is lost for a member of litellm_params, most of which go to the provider
// as they are: a section that stands there, a key of the gateway, and a limit.
func (v value) lostParam() bool {
	if like := v.meant([]string{"rpm", "tpm", "itpm", "otpm"}); like != "" && v.node.Kind == yaml.ScalarNode {
		v.fail("unknown key, and so nothing is limited by it: did you mean %q?", like)
		return true
	}
	return (v.meant([]string{"master_key", "max_parallel_requests"}) != "" || v.meant(sections()) != "") && v.lost()
}
