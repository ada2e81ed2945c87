package routing

import (
	"maps"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// pattern is a model_name with "*", matched whole.
type pattern struct {
	name  string
	parts []string // the literal text between the stars
	group []*Deployment
}

// newPattern compiles a wildcard model_name.
func newPattern(name string, group []*Deployment) pattern {
	return pattern{name: name, parts: strings.Split(name, "*"), group: group}
}

// match returns what each star stands for; nil when name does not match.
func (p pattern) match(name string) []string { return matchWildcard(p.parts, name) }

func matchWildcard(parts []string, name string) []string {
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return nil
	}
	captures := make([]string, 0, len(parts)-1)
	for i, part := range parts[1:] {
		if i == len(parts)-2 { // the last star takes all up to the end
			if !strings.HasSuffix(rest, part) {
				return nil
			}
			return append(captures, rest[:len(rest)-len(part)])
		}
		at := strings.Index(rest, part)
		if at < 0 {
			return nil
		}
		captures = append(captures, rest[:at])
		rest = rest[at+len(part):]
	}
	return captures
}

// fillWildcard gives the provider's model name of a wildcard deployment: each
// star of model is what the star in its place of the group's name stood for. A
// model with more stars than the group has captures gets the whole name.
func fillWildcard(asked, group, model string) string {
	captures := matchWildcard(strings.Split(group, "*"), asked)
	for strings.Contains(model, "*") {
		capture := asked
		if len(captures) > 0 {
			capture, captures = captures[0], captures[1:]
		}
		model = strings.Replace(model, "*", capture, 1)
	}
	return model
}

// sortPatterns puts the most specific pattern first: most literal text, then
// fewest stars.
func sortPatterns(patterns []pattern) {
	literal := func(p pattern) int { return len(strings.Join(p.parts, "")) }
	slices.SortStableFunc(patterns, func(a, b pattern) int {
		if d := literal(b) - literal(a); d != 0 {
			return d
		}
		return len(a.parts) - len(b.parts)
	})
}

// resolve returns the stages that a requested name stands for: those of an
// alias, a model group, or a wildcard. None: there is no such model.
func (r *Router) resolve(name string) []target {
	if stages, ok := r.aliases[name]; ok {
		return stages
	}
	return r.resolveGroup(name)
}

func (r *Router) resolveGroup(name string) []target {
	if group, ok := r.groups[name]; ok {
		return []target{{group: group, name: name}}
	}
	for _, p := range r.patterns {
		if p.match(name) != nil {
			return []target{{group: p.group, name: name}}
		}
	}
	return nil
}

// Spelt is a requested name as the configuration has it: a name that only a
// wildcard covers is that wildcard.
func (r *Router) Spelt(name string) string {
	if _, ok := r.aliases[name]; ok {
		return name
	}
	if _, ok := r.groups[name]; ok {
		return name
	}
	for _, p := range r.patterns {
		if p.match(name) != nil {
			return p.name
		}
	}
	return name
}

// Names are the names that Spelt may return for what can be served, hidden
// aliases included.
func (r *Router) Names() []string {
	names := slices.Sorted(maps.Keys(r.aliases))
	for name := range maps.Keys(r.groups) {
		if _, ok := r.aliases[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// Targets are what the deployments of a name's first stage are, as their
// translators see them; none when there is no such name. They must not be
// changed.
func (r *Router) Targets(name string) []*upstream.Target {
	stages := r.resolve(name)
	if len(stages) == 0 {
		return nil
	}
	out := make([]*upstream.Target, len(stages[0].group))
	for i, d := range stages[0].group {
		target := d.target
		if m := stages[0].model; m != "" {
			target.Model = m
		}
		out[i] = &target
	}
	return out
}
