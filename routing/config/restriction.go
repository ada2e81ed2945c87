package config

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/translate/litellm"
)

// restricting are the settings that hold something back. Who has misspelt one
// believes in what is not there.
func restricting() []string {
	return []string{
		"master_key", "tenant_header", "tenant_limits", "model_group_limits", "max_parallel_requests", "global_max_parallel_requests",
		"max_request_body_bytes",
		"max_request_size_mb", "enable_tag_filtering", "turn_off_message_logging",
	}
}

// lost reports whether the key, which is not read where it stands, was to hold
// something back, and says so: an error.
func (v value) lost() bool {
	if v.misspeltRestriction() {
		return true
	}
	if v.node == nil || v.node.Kind != yaml.MappingNode || v.node.Anchor != "" {
		return false // what has an anchor is used where that is named
	}
	names := []string{"master_key"}
	if v.misspeltOf(sections()) != "" {
		names = restricting()
	}
	return v.lostInside(names, 0)
}

// misspeltRestriction is lost by the name of the key alone.
func (v value) misspeltRestriction() bool {
	like := v.misspeltOf(restricting())
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
		if like := f.misspeltOf(names); like != "" {
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

// misspeltOf is which of the names the key is, if not in its spelling; "" for none. A
// name that means something else is none.
func (v value) misspeltOf(names []string) string {
	if slices.Contains(names, v.name) {
		return v.name
	}
	if v.r.place(v.name) != "" {
		return ""
	}
	name := strings.TrimPrefix(litellm.Spelling(v.name), "litellm_")
	for _, like := range names {
		if strings.HasSuffix(name, like) || editDistance(name, like) <= 1+len(like)/8 {
			return like
		}
	}
	return ""
}

// shortRestriction is below what a name must have in bytes to be taken for one of
// LiteLLM's that restricts, where LiteLLM does not read it: team_id and blocked are
// words of other programs too.
const shortRestriction = 9

// lostElsewhere is lostRestriction for litellm_params, where it must not be a name of
// litellm_params itself, which has its answer.
func (v value) lostElsewhere() bool {
	_, known := litellm.Lookup(litellm.Params, v.name)
	return !known && v.lostRestriction(litellm.ModelInfo, litellm.Settings)
}

// lostRestriction reports whether the key is one of LiteLLM's that restricts, misspelt
// or where LiteLLM does not read it, and says so: an error. The sections are those
// whose names may be meant.
func (v value) lostRestriction(sections ...litellm.Section) bool {
	if len(v.name) < shortRestriction || !v.on() {
		return false
	}
	if e, ok := litellm.Restriction(v.name, sections...); ok {
		v.unenforced(v.name, e.Note)
		return true
	}
	if v.r.place(v.name) != "" {
		return false
	}
	name := litellm.Spelling(v.name)
	for _, s := range sections {
		for _, like := range litellm.Restricting(s) {
			if len(like) >= shortRestriction && editDistance(name, like) <= 1+len(like)/8 {
				v.fail("unknown key, and so nothing is held back: did you mean %q? isthmus does not enforce that either: take it out", like)
				return true
			}
		}
	}
	return false
}

// lostLimit reports whether the key is a misspelt rpm or its like, and says so.
func (v value) lostLimit(like string) bool {
	if like == "" || v.node.Kind != yaml.ScalarNode {
		return false
	}
	v.fail("unknown key, and so nothing is limited by it: did you mean %q?", like)
	return true
}

// limits are the limits of a minute.
func limits() []string { return []string{"rpm", "tpm", "itpm", "otpm"} }

// shuffledLimit is which of the limits the key is, but for its case or the order of
// its letters; "" for none. It is for model_info, where any key may stand.
func (v value) shuffledLimit() string {
	letters := func(s string) string {
		all := []byte(strings.ToLower(s))
		slices.Sort(all)
		return string(all)
	}
	for _, like := range limits() {
		if letters(v.name) == letters(like) {
			return like
		}
	}
	return ""
}

// masterVariable is the variable that stands for master_key.
const masterVariable = "LITELLM_MASTER_KEY"

// lostVariable says that the variable of the key that clients must send is there and
// empty, or misspelt among the file's own, where nothing else says that key: an error.
func (r *reader) lostVariable(c *Config, tops []value) {
	if !c.MasterKey.IsZero() || r.keysElsewhere {
		return
	}
	used := map[string]bool{}
	for _, top := range tops {
		variablesOf(top.node, used)
	}
	for _, top := range tops {
		for _, f := range top.fields() {
			if f.name != "environment_variables" {
				continue
			}
			for _, v := range f.fields() {
				switch {
				case v.name == masterVariable:
					v.fail("the key is empty, and everybody would be let in: give one, or remove it")
				case !used[v.name] && v.misspeltOf([]string{"master_key"}) != "":
					v.fail("nobody reads it, and so everybody is let in: did you mean %q?", masterVariable)
				}
			}
		}
	}
	_, ofProcess := r.env.lookup(masterVariable)
	if _, ofFile := r.env.dotenv[masterVariable]; ofProcess || ofFile {
		r.note(Error, "$"+masterVariable+" is empty, and everybody would be let in: give it a key, or unset it")
	}
}

// variablesOf notes the variables that a node refers to.
func variablesOf(n *yaml.Node, into map[string]bool) {
	if name, ok := strings.CutPrefix(n.Value, "os.environ/"); ok {
		into[name] = true
	}
	for _, inner := range n.Content {
		variablesOf(inner, into)
	}
}

// lostParam is lost for a member of litellm_params, most of which go to the provider
// as they are: a section that stands there, a key of the gateway, and a limit.
func (v value) lostParam() bool {
	if v.lostLimit(v.misspeltOf(limits())) || v.lostElsewhere() {
		return true
	}
	return (v.misspeltOf([]string{"master_key", "max_parallel_requests"}) != "" || v.misspeltOf(sections()) != "") && v.lost()
}
