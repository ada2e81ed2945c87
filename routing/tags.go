package routing

import (
	"slices"
	"strings"
)

// tagRules is how a request's tags choose deployments. Off, tags mean nothing.
type tagRules struct {
	on  bool
	any bool // one common tag is enough; else the deployment needs all
}

// defaultTag marks the deployments that serve requests whose tags fit none.
const defaultTag = "default"

// tagRule is what the tags of one request ask of the deployments of a group.
// The zero rule allows all.
type tagRule struct {
	on        bool
	any       bool
	wanted    []string // plain tags
	needed    []string // "&tag": each of them
	unwanted  []string // "!tag": none of them
	byDefault bool     // only deployments tagged default
}

// rule reads a request's tags for a group. It is decided by the group as it is
// configured, not by who is healthy: when the deployments with a tag are away,
// the request waits for them or goes on with its cascade, and not to others.
func (t tagRules) rule(tags []string, group []*Deployment) tagRule {
	if !t.on {
		return tagRule{}
	}
	rule := tagRule{on: true, any: t.any}
	for _, tag := range tags {
		if name, ok := strings.CutPrefix(tag, "!"); ok {
			rule.unwanted = append(rule.unwanted, name)
		} else if name, ok := strings.CutPrefix(tag, "&"); ok {
			rule.needed = append(rule.needed, name)
		} else if tag != "" {
			rule.wanted = append(rule.wanted, tag)
		}
	}
	hasDefault := slices.ContainsFunc(group, func(d *Deployment) bool { return slices.Contains(d.Tags, defaultTag) })
	switch {
	case len(rule.wanted)+len(rule.needed) > 0:
		// An unknown tag is served by default deployments, when there are any.
		rule.byDefault = hasDefault && !slices.ContainsFunc(group, rule.matches)
	default:
		rule.byDefault = hasDefault
	}
	return rule
}

func (t tagRule) allows(d *Deployment) bool {
	switch {
	case !t.on:
		return true
	case t.byDefault:
		return slices.Contains(d.Tags, defaultTag) && !t.excludes(d)
	}
	return t.matches(d)
}

func (t tagRule) matches(d *Deployment) bool {
	has := func(tag string) bool { return slices.Contains(d.Tags, tag) }
	for _, tag := range t.needed {
		if !has(tag) {
			return false
		}
	}
	if t.excludes(d) {
		return false
	}
	switch {
	case len(t.wanted) == 0:
		return true
	case t.any:
		return slices.ContainsFunc(t.wanted, has)
	}
	return !slices.ContainsFunc(t.wanted, func(tag string) bool { return !has(tag) })
}

func (t tagRule) excludes(d *Deployment) bool {
	return slices.ContainsFunc(t.unwanted, func(tag string) bool { return slices.Contains(d.Tags, tag) })
}
