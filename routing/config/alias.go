package config

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/routing/wildcard"
)

// finish does what needs the whole configuration: aliases and fallbacks, whose
// targets must exist, and settings that depend on each other.
func (r *reader) finish(c *Config) {
	// Aliases first: fallbacks may name them.
	for _, v := range c.aliases {
		if v.name == "model_group_alias" {
			r.groupAliases(c, v)
		}
	}
	for _, v := range c.aliases {
		switch v.name {
		case "fallbacks":
			r.fallbacks(c, v)
		case "default_fallbacks", "fallback_models":
			c.Router.DefaultFallbacks = append(c.Router.DefaultFallbacks, r.defaultFallbacks(c, v)...)
		case "context_window_fallbacks":
			r.special(c, v, c.Router.ContextWindowFallback)
		case "content_policy_fallbacks":
			r.special(c, v, c.Router.ContentPolicyFallback)
		}
	}
	for _, v := range c.perGroup {
		switch {
		case !c.isKey(v.name):
			v.say(Warning, "%s", c.noSuch(v.name))
		case strings.HasSuffix(v.key, "model_group_limits."+v.name) && !c.hasGroup(v.name):
			v.say(Warning, "limits are of a model_name, and nothing is limited by this: %q is an alias; limit the groups that it stands for", v.name)
		}
	}
	c.aliases, c.perGroup = nil, nil
	r.withoutFailover(c)
	c.finishCache()
	r.finishCallbacks(c)
	r.diagnostics = append(r.diagnostics, c.envProblems...)
	c.envProblems = nil
}

// hasGroup reports whether a model_name, or a wildcard, serves the name; names
// of entries left out count, so that a missing key is not also a wrong name.
func (c *Config) hasGroup(name string) bool {
	served, leftOut := c.serves(name)
	return served || leftOut
}

// serves reports whether a deployment that can be used serves the name, and one that
// is left out.
func (c *Config) serves(name string) (served, leftOut bool) {
	match := func(group string) bool { return group == name || wildcard.New(group).Matches(name) }
	return slices.ContainsFunc(c.Deployments, func(d Deployment) bool { return match(d.ModelName) }),
		slices.ContainsFunc(c.LeftOut, func(l LeftOut) bool { return match(l.ModelName) })
}

// NamesWithLimits are the keys of GroupLimits that are no model_name, and that this
// model_name may serve as a wildcard.
func (c *Config) NamesWithLimits(modelName string) []string {
	pattern := wildcard.New(modelName)
	var names []string
	for name := range c.Router.GroupLimits {
		if !c.isGroup(name) && pattern.Matches(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// isKey reports whether a setting for a model group may have the name as its key: a
// model_name, an alias, or what only a wildcard serves. A name with a star is a
// model_name or nothing.
func (c *Config) isKey(name string) bool {
	if strings.Contains(name, "*") {
		return c.isGroup(name) || c.hasAlias(name)
	}
	return c.hasGroup(name) || c.hasAlias(name)
}

// isGroup reports whether the name is a model_name as it stands.
func (c *Config) isGroup(name string) bool {
	return slices.ContainsFunc(c.Deployments, func(d Deployment) bool { return d.ModelName == name }) ||
		slices.ContainsFunc(c.LeftOut, func(l LeftOut) bool { return l.ModelName == name })
}

func (c *Config) hasAlias(name string) bool {
	return slices.ContainsFunc(c.Router.Aliases, func(a Alias) bool { return a.Name == name })
}

// leftOutOnly reports whether every deployment that serves a name is left out.
func (c *Config) leftOutOnly(name string) bool {
	served, leftOut := c.serves(name)
	return leftOut && !served
}

func (r *reader) groupAliases(c *Config, v value) {
	for _, f := range v.fields() {
		a := Alias{Name: f.name}
		var names []value
		switch {
		case f.node.Kind == yaml.MappingNode:
			for _, m := range f.fields() {
				switch m.name {
				case "model":
					names = m.items()
				case "hidden":
					m.boolean(&a.Hidden)
				default:
					m.unknown([]string{"model", "hidden"})
				}
			}
		default:
			names = f.items()
		}
		if hasControl(f.name) {
			f.fail("the alias %q holds a control character", f.name)
			continue
		}
		if len(names) == 0 {
			f.fail("an alias needs a model group, or a list of them to try in order")
			continue
		}
		for _, n := range names {
			r.aliasTarget(c, &a, n)
		}
		c.Router.Aliases = slices.DeleteFunc(c.Router.Aliases, func(old Alias) bool { return old.Name == a.Name })
		if len(a.Targets) > 0 {
			c.Router.Aliases = append(c.Router.Aliases, a)
		}
	}
}

// aliasTarget reads one entry of an alias. An entry that is no model_name, under
// an alias that is one, means that group's deployments asked for that model.
func (r *reader) aliasTarget(c *Config, a *Alias, n value) {
	name, ok := n.scalar("the name of a model group")
	switch {
	case !ok:
	case c.isGroup(name) && strings.Contains(name, "*"):
		n.fail("%q is no model: say which of those that it serves is meant", name)
	case strings.Contains(name, "*"):
		n.fail("%s", c.noSuch(name))
	case c.leftOutOnly(name):
		n.say(Warning, "%s has no deployment that can be used: the alias goes on without it", name)
	case c.hasGroup(name):
		a.Targets = append(a.Targets, Target{Group: name})
	case c.leftOutOnly(a.Name):
		n.say(Warning, "%s has no deployment that can be used", a.Name)
	case c.hasGroup(a.Name):
		a.Targets = append(a.Targets, Target{Group: a.Name, Model: name})
		n.say(Notice, "%q is no model_name: the deployments of %s are asked for the model %q", name, a.Name, name)
	default:
		n.fail("%s", c.noSuch(name))
	}
}

func (c *Config) noSuch(name string) string {
	var names []string
	for _, d := range c.Deployments {
		names = append(names, d.ModelName)
	}
	names = compact(names)
	return fmt.Sprintf("there is no model group %q%s (there are: %s)", name, hint(name, names), strings.Join(names, ", "))
}

// groupMap reads [{group: [a, b]}, …] or {group: [a, b]}.
func groupMap(v value) []value {
	if v.present() && v.node.Kind == yaml.MappingNode {
		return v.fields()
	}
	var out []value
	for _, item := range v.list("a list of {model group: [fallbacks]}") {
		out = append(out, item.fields()...)
	}
	return out
}

func (r *reader) fallbacks(c *Config, v value) {
	for _, f := range groupMap(v) {
		if f.name == "*" {
			c.Router.DefaultFallbacks = append(c.Router.DefaultFallbacks, r.defaultFallbacks(c, f)...)
			continue
		}
		if !c.isKey(f.name) {
			f.fail("%s", c.noSuch(f.name))
			continue
		}
		for _, n := range f.items() {
			if name, ok := r.existing(c, n); ok {
				c.Router.Fallbacks[f.name] = append(c.Router.Fallbacks[f.name], Target{Group: name})
			}
		}
	}
}

// existing reads the name of a model group or alias that there is.
func (r *reader) existing(c *Config, n value) (string, bool) {
	name, ok := n.scalar("the name of a model group")
	switch {
	case !ok:
		return "", false
	case c.leftOutOnly(name):
		n.say(Warning, "%s has no deployment that can be used: the fallback goes on without it", name)
		return "", false
	case !c.isKey(name):
		n.fail("%s", c.noSuch(name))
		return "", false
	}
	return name, true
}

// defaultFallbacks reads the cascade of every group. An entry that is no
// model_name is served by the failing group's own deployments.
func (r *reader) defaultFallbacks(c *Config, v value) []Target {
	var out []Target
	for _, n := range v.items() {
		name, ok := n.scalar("the name of a model group")
		switch {
		case !ok:
		case c.leftOutOnly(name):
			n.say(Warning, "%s has no deployment that can be used: the fallback goes on without it", name)
		case c.isKey(name):
			out = append(out, Target{Group: name})
		case strings.Contains(name, "*"):
			n.fail("%s", c.noSuch(name))
		default:
			out = append(out, Target{Model: name})
			n.say(Notice, "%q is no model_name: the failing group's own deployments are asked for the model %q", name, name)
		}
	}
	return out
}

func (r *reader) special(c *Config, v value, into map[string][]string) {
	for _, f := range groupMap(v) {
		if f.name != "*" && !c.isKey(f.name) {
			f.fail("%s", c.noSuch(f.name))
			continue
		}
		for _, n := range f.items() {
			if name, ok := r.existing(c, n); ok {
				into[f.name] = append(into[f.name], name)
			}
		}
	}
}
