package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/litellm"
)

// Report is what becomes of each key of a LiteLLM config.
type Report struct {
	Config  string `json:"config"`
	Version string `json:"litellm_version"` // whose names are known

	Refused []Reported `json:"refused"` // stops the start
	Ignored []Reported `json:"ignored"`
	WorksAs []Reported `json:"works_as"`
	Works   []Reported `json:"works"`
}

// Reported is one key and what is to be reported of it. It holds nothing of its value
// but the name of a callback.
type Reported struct {
	File string `json:"file,omitzero"`
	Line int    `json:"line,omitzero"`
	Key  string `json:"key,omitzero"`
	Note string `json:"note,omitzero"`
}

// NewReport reads the file of o.Path as [Load] does and answers each key, also when
// the file cannot be used: the Config is nil then. The error is one of reading.
func NewReport(o Options) (*Report, *Config, error) {
	src, err := o.read(o.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the model config: %w", err)
	}
	r, err := newReader(o)
	if err != nil {
		return nil, nil, err
	}
	tops := r.file(o.Path, src, []string{absolute(o.Path)})
	c := r.build(tops)
	r.checkAllowed()
	found := r.diagnostics.once()
	w := reporter{report: &Report{
		Config: o.Path, Version: litellm.Version, Refused: []Reported{}, Ignored: []Reported{}, WorksAs: []Reported{}, Works: []Reported{},
	}, found: found, reported: make([]bool, len(found)), used: map[string]bool{}}
	for _, top := range tops {
		variablesOf(top.node, w.used)
	}
	for _, top := range tops {
		for _, f := range top.fields() {
			w.top(f)
		}
	}
	w.rest()
	if len(w.report.Refused) > 0 {
		c = nil
	}
	return w.report, c, nil
}

// Refuse adds what stops the start and is of no key.
func (r *Report) Refuse(message string) { r.Refused = append(r.Refused, Reported{Note: message}) }

// reporter walks over the file and joins to each key what its reading has found.
type reporter struct {
	report   *Report
	found    Diagnostics
	reported []bool          // of found: it stands in the report
	used     map[string]bool // variables that the file refers to
}

func (w *reporter) top(f value) {
	switch {
	case f.name == "model_list":
		for _, item := range f.items() {
			w.entry(item)
		}
	case slices.Contains(sections(), f.name):
		for _, s := range f.fields() {
			w.setting(s)
		}
	case f.name == "environment_variables":
		for _, v := range f.fields() {
			if w.used[v.name] {
				w.add(v, litellm.Entry{Note: "the file says os.environ/" + v.name}, true)
				continue
			}
			w.answer(litellm.Environment, v.name, v)
		}
	default:
		w.answer(litellm.Top, f.name, f)
	}
}

func (w *reporter) entry(item value) {
	if !item.present() {
		return
	}
	for _, f := range item.fields() {
		section := litellm.Params // the names beside litellm_params are its own
		switch f.name {
		case "litellm_params":
		case "model_info":
			section = litellm.ModelInfo
		case "model_name":
			w.add(f, litellm.Entry{}, true)
			continue
		default:
			w.answer(section, f.name, f)
			continue
		}
		for _, m := range f.fields() {
			w.answer(section, m.name, m)
		}
	}
}

func (w *reporter) setting(f value) {
	switch f.name {
	case "cache_params":
		for _, m := range f.fields() {
			w.answer(litellm.CacheParams, m.name, m)
		}
	case "success_callback", "failure_callback", "callbacks":
		for _, item := range f.items() {
			name, _ := item.scalar("the name of a callback")
			named := item
			named.key = item.key + " " + item.callbackShown(name)
			w.answer(litellm.Callbacks, name, named)
		}
	default:
		w.answer(litellm.Settings, f.name, f)
	}
}

// callbackShown is the name of a callback, for the report: one that is not known may
// be anything, and a command may have keys among its arguments.
func (v value) callbackShown(name string) string {
	if strings.HasPrefix(name, "exec:") {
		return "exec:"
	}
	if _, known := litellm.Lookup(litellm.Callbacks, name); !known {
		return strings.Trim(v.r.redactor.Redact(v.shown()), `"`)
	}
	return name
}

func (w *reporter) answer(s litellm.Section, name string, v value) {
	e, ok := litellm.Lookup(s, name)
	switch {
	case ok && e.Answer == litellm.Refused && !v.on():
		e = litellm.Entry{Answer: litellm.Ignored, Note: "it is off, and restricts nothing"}
	case ok:
	case s == litellm.Params:
		e = litellm.Entry{Note: "no name of LiteLLM's: goes to the provider"}
	case s == litellm.ModelInfo, s == litellm.Environment:
		e = litellm.Entry{Answer: litellm.Ignored, Note: "no name of LiteLLM's: your own"}
	default:
		e = litellm.Entry{Answer: litellm.Ignored, Note: "no name of LiteLLM's"}
	}
	w.add(v, e, ok)
}

// add reports a key, with what its reading has found: an error stops the start,
// and a warning tells that it has no effect.
func (w *reporter) add(v value, e litellm.Entry, known bool) {
	line := v.node.Line
	key, _, _ := strings.Cut(v.r.redactor.Redact(v.key), " ")
	for i, d := range w.found {
		if d.File != v.file || d.Line != line || d.Key != key {
			continue // a diagnostic of a member stands by itself, see rest
		}
		w.reported[i] = true
		switch {
		case d.Severity == Error:
			e.Answer, e.Note = litellm.Refused, d.Message
		case e.Answer == litellm.Refused, !known && d.Severity == Warning, hasNoEffect(d):
			e.Answer, e.Note = litellm.Ignored, d.Message
		case e.Answer != litellm.WorksAs:
			e.Note = d.Message
		}
	}
	w.list(e.Answer, Reported{File: v.file, Line: line, Key: v.r.redactor.Redact(v.key), Note: e.Note})
}

// hasNoEffect reports whether a warning says that its key does nothing.
func hasNoEffect(d Diagnostic) bool {
	return d.Severity == Warning && (strings.Contains(d.Message, "ignored") || strings.Contains(d.Message, "not sent"))
}

// rest reports the diagnostics of no key that was walked over, and puts the lines in
// order.
func (w *reporter) rest() {
	for i, d := range w.found {
		of := Reported{File: d.File, Line: d.Line, Key: d.Key, Note: d.Message}
		switch {
		case w.reported[i] || d.Severity == Notice:
		case d.Severity == Error:
			w.list(litellm.Refused, of)
		default:
			w.list(litellm.Ignored, of)
		}
	}
	for _, group := range [][]Reported{w.report.Refused, w.report.Ignored, w.report.WorksAs, w.report.Works} {
		slices.SortStableFunc(group, func(a, b Reported) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
		})
	}
}

func (w *reporter) list(a litellm.Answer, of Reported) {
	switch a {
	case litellm.Refused:
		w.report.Refused = append(w.report.Refused, of)
	case litellm.Ignored:
		w.report.Ignored = append(w.report.Ignored, of)
	case litellm.WorksAs:
		w.report.WorksAs = append(w.report.WorksAs, of)
	default:
		w.report.Works = append(w.report.Works, of)
	}
}

// Write writes the report as text.
func (r *Report) Write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, by the names of LiteLLM %s\n", r.Config, r.Version)
	for _, group := range []struct {
		head string
		keys []Reported
	}{
		{"refused, and stops the start", r.Refused}, {"ignored, without harm", r.Ignored},
		{"works as another setting", r.WorksAs}, {"works", r.Works},
	} {
		fmt.Fprintf(&b, "\n%s: %d\n", group.head, len(group.keys))
		for _, k := range group.keys {
			k.write(&b)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (k *Reported) write(b *strings.Builder) {
	b.WriteString("  ")
	if k.File != "" {
		fmt.Fprintf(b, "%s:%d: ", k.File, k.Line)
	}
	b.WriteString(k.Key)
	switch {
	case k.Note == "":
	case k.Key == "":
		b.WriteString(k.Note)
	default:
		b.WriteString("\n      " + k.Note)
	}
	b.WriteString("\n")
}
