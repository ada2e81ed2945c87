package litellm

import (
	"strings"
	"sync"
)

// Version is the release of LiteLLM whose names these are.
const Version = "1.110.2"

// Answer says what becomes of a name.
type Answer int

// The answers.
const (
	Works   Answer = iota // as in LiteLLM, or near enough
	WorksAs               // as another setting: Entry.Note names it
	Ignored               // nothing is lost that restricts anybody
	Refused               // it restricts, and isthmus does not: Entry.Note names a remedy
)

func (a Answer) String() string { return [...]string{"works", "works as", "ignored", "refused"}[a] }

// Section is where a name stands.
type Section string

// The sections. A setting may stand in any of general_settings, litellm_settings
// and router_settings: its answer is the same in all three.
const (
	Params      Section = "litellm_params"
	ModelInfo   Section = "model_info"
	Settings    Section = "settings"
	CacheParams Section = "cache_params"
	Top         Section = "top"
	Callbacks   Section = "callbacks"
	Environment Section = "environment"
	Body        Section = "body"
)

// Sections lists the sections, in the order of the document.
func Sections() []Section {
	return []Section{Top, Params, ModelInfo, Settings, CacheParams, Callbacks, Body, Environment}
}

// Entry is the answer to a name.
type Entry struct {
	Answer Answer
	Note   string // what it works as, what to say instead, or why it is refused; may be ""
	// Sent says that the name is a provider's own parameter: it goes to the provider.
	Sent bool
	// Ours says that the name is a setting of isthmus, which LiteLLM does not have.
	Ours bool
}

// Rule is one line of the table: several names with one answer.
type Rule struct {
	Entry
	// Names are parted by spaces. "*" in a name stands for any text: such a name
	// means those that no name without one says, the longest first.
	Names string
}

// Rules returns the table of a section.
func Rules(s Section) []Rule {
	switch s {
	case Params:
		return params()
	case ModelInfo:
		return modelInfo()
	case Settings:
		return settings()
	case CacheParams:
		return cacheParams()
	case Top:
		return top()
	case Callbacks:
		return callbacks()
	case Environment:
		return environment()
	case Body:
		return body()
	}
	return nil
}

// index finds the answers of one section.
type index struct {
	exact    map[string]Entry
	patterns []pattern // the longest first
}

// pattern is a name with "*", parted there.
type pattern struct {
	parts []string
	size  int // of all parts
	entry Entry
}

func newPattern(name string, e Entry) pattern {
	return pattern{strings.Split(name, "*"), len(name), e}
}

func (p *pattern) match(name string) bool {
	last := len(p.parts) - 1
	rest, ok := strings.CutPrefix(name, p.parts[0])
	for _, part := range p.parts[1:last] {
		if !ok {
			return false
		}
		_, rest, ok = strings.Cut(rest, part)
	}
	return ok && strings.HasSuffix(rest, p.parts[last])
}

// indices is made once, from constants.
var indices = sync.OnceValue(func() map[Section]*index {
	all := map[Section]*index{}
	for _, s := range Sections() {
		all[s] = newIndex(Rules(s))
	}
	return all
})

func newIndex(rules []Rule) *index {
	x := &index{exact: map[string]Entry{}}
	for _, r := range rules {
		for name := range strings.FieldsSeq(r.Names) {
			if !strings.Contains(name, "*") {
				x.exact[name] = r.Entry
				continue
			}
			x.insert(newPattern(name, r.Entry))
		}
	}
	return x
}

// insert keeps the patterns in order of their length, the longest first.
func (x *index) insert(p pattern) {
	at := len(x.patterns)
	for at > 0 && x.patterns[at-1].size < p.size {
		at--
	}
	x.patterns = append(x.patterns[:at], append([]pattern{p}, x.patterns[at:]...)...)
}

func (x *index) find(name string) (Entry, bool) {
	if e, ok := x.exact[name]; ok {
		return e, true
	}
	for i := range x.patterns {
		if x.patterns[i].match(name) {
			return x.patterns[i].entry, true
		}
	}
	return Entry{}, false
}

// Lookup returns the answer to a name of a section; ok is false for a name that
// LiteLLM does not read there. A client's body may hold what litellm_params may,
// and what speaks there to the gateway is ignored in a body.
func Lookup(s Section, name string) (Entry, bool) {
	if e, ok := indices()[s].find(name); ok || s != Body {
		return e, ok
	}
	e, ok := indices()[Params].find(name)
	if ok && !e.Sent {
		return Entry{Answer: Ignored}, true
	}
	return e, ok
}

// Own reports whether a name is LiteLLM's own, or this gateway's, so that it is no
// member of a provider's body, whoever says it: a credential, a price, a setting.
func Own(name string) bool {
	e, ok := members().find(name)
	return ok && !e.Sent
}

// Restricts reports whether a member of a client's body asks LiteLLM's proxy to hold
// something back, and why that is not done here.
func Restricts(name string) (why string, ok bool) {
	e, ok := indices()[Body].find(name)
	return e.Note, ok && e.Answer == Refused
}

// members are the names of Body and Params in one index: it is asked for each member
// of each request.
var members = sync.OnceValue(func() *index { return newIndex(append(params(), body()...)) })
