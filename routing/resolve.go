package routing

import (
	"cmp"
	"maps"
	"slices"

	"github.com/isthmus-proxy/isthmus/routing/wildcard"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// pattern is a model group whose model_name has a star.
type pattern struct {
	wildcard.Pattern
	group []*Deployment
}

// sortPatterns puts the most specific pattern first: most literal text, then
// fewest stars.
func sortPatterns(patterns []pattern) {
	slices.SortStableFunc(patterns, func(a, b pattern) int {
		return cmp.Or(cmp.Compare(b.Literal(), a.Literal()), cmp.Compare(a.Stars(), b.Stars()))
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
		if p.Matches(name) {
			return []target{{group: p.group, name: name}}
		}
	}
	return nil
}

// ConfiguredName is a requested name as the configuration has it: a name that only a
// wildcard covers is that wildcard, unless a setting names it.
func (r *Router) ConfiguredName(name string) string {
	if r.written(name) || slices.Contains(r.named, name) {
		return name
	}
	for _, p := range r.patterns {
		if p.Matches(name) {
			return p.String()
		}
	}
	return name
}

// written reports whether the name is a model group's or an alias's own.
func (r *Router) written(name string) bool {
	_, alias := r.aliases[name]
	_, group := r.groups[name]
	return alias || group
}

// nameKeys notes the names that a setting has as a key and only a wildcard serves.
func nameKeys[V any](r *Router, settings map[string]V) {
	for name := range settings {
		if !r.written(name) && !slices.Contains(r.named, name) && r.Has(name) {
			r.named = append(r.named, name)
		}
	}
	slices.Sort(r.named)
}

// Names are the names that ConfiguredName may return for what can be served, hidden
// aliases included.
func (r *Router) Names() []string {
	names := slices.Sorted(maps.Keys(r.aliases))
	for name := range maps.Keys(r.groups) {
		if _, ok := r.aliases[name]; !ok {
			names = append(names, name)
		}
	}
	return append(names, r.named...)
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
