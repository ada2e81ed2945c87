package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity grades a Diagnostic.
type Severity int

// The grades.
const (
	Notice  Severity = iota // worth knowing, nothing to do
	Warning                 // something is ignored or left out
	Error                   // the file cannot be used
)

func (s Severity) String() string { return [...]string{"notice", "warning", "error"}[s] }

// Diagnostic is one thing to say about the file. It never holds a secret.
type Diagnostic struct {
	File     string
	Line     int
	Key      string // router_settings.num_retries, model_list[2].litellm_params.rpm
	Severity Severity
	Message  string
}

func (d Diagnostic) String() string {
	var b strings.Builder
	if d.File != "" {
		fmt.Fprintf(&b, "%s:%d: ", d.File, d.Line)
	}
	if d.Key != "" {
		b.WriteString(d.Key + ": ")
	}
	b.WriteString(d.Message)
	return b.String()
}

// Diagnostics are the findings about a file, in the order of its lines.
type Diagnostics []Diagnostic

func (ds Diagnostics) sorted() Diagnostics {
	out := slices.Clone(ds)
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return out
}

// once returns the diagnostics in the order of their lines, each once.
func (ds Diagnostics) once() Diagnostics {
	var out Diagnostics
	seen := map[Diagnostic]bool{}
	for _, d := range ds.sorted() {
		if !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out
}

// split parts the errors from the rest.
func (ds Diagnostics) split() (Diagnostics, error) {
	var rest Diagnostics
	var errs []error
	for _, d := range ds.once() {
		if d.Severity == Error {
			errs = append(errs, errors.New(d.String()))
			continue
		}
		rest = append(rest, d)
	}
	return rest, errors.Join(errs...)
}
