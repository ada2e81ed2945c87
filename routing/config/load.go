package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/routing/file"
	"github.com/isthmus-proxy/isthmus/translate/litellm"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// Options say what to read and from where variables come.
type Options struct {
	Path    string                      // the model config
	EnvFile string                      // "" = the .env beside the config, when there is one
	Lookup  func(string) (string, bool) // the environment; nil = os.LookupEnv
	// Read reads the files, those that are included too; nil = file.Read.
	Read   func(path string) ([]byte, error)
	Strict bool // an unset variable is an error; else its deployment is left out
	// KeysElsewhere: the keys are another process's. A deployment whose key is
	// not set here is kept, so that an Envoy configuration can be written where
	// no key is.
	KeysElsewhere bool
	// Command reads what stands behind "exec:" in a list of callbacks and says
	// what is wrong with it; nil = it is not checked.
	Command func(line string) error
	// AllowUnenforced names what restricts and is not enforced here, without which
	// the user goes on: see litellm.Refused.
	AllowUnenforced []string
}

// Load reads the file of o.Path. The error lists everything that must be mended,
// one line each; the Diagnostics are what is worth saying besides.
func Load(o Options) (*Config, Diagnostics, error) {
	src, err := o.read(o.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the model config: %w", err)
	}
	return Parse(o.Path, src, o)
}

func (o *Options) read(path string) ([]byte, error) {
	if o.Read == nil {
		return file.Read(path)
	}
	return o.Read(path)
}

// Parse is Load for a text; name stands for the file in messages.
func Parse(name string, src []byte, o Options) (*Config, Diagnostics, error) {
	r, err := newReader(o)
	if err != nil {
		return nil, nil, err
	}
	tops := r.file(name, src, []string{absolute(name)})
	c := r.build(tops)
	r.checkAllowed()
	if c != nil {
		slices.Sort(r.unenforced)
		c.Unenforced = slices.Compact(r.unenforced)
	}
	rest, err := r.diagnostics.split()
	if err != nil {
		return nil, rest, err
	}
	return c, rest, nil
}

func newReader(o Options) (*reader, error) {
	env, err := newEnvironment(o)
	if err != nil {
		return nil, err
	}
	return &reader{
		env: env, paramTypes: paramTypes(), read: o.read, strict: o.Strict, keysElsewhere: o.KeysElsewhere, command: o.Command,
		allowed: o.AllowUnenforced, redactor: secret.NewRedactor(),
	}, nil
}

func absolute(path string) string {
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

// file parses one file and those it includes; the included come first, so that
// the including file's settings win. chain is the files being included.
func (r *reader) file(name string, src []byte, chain []string) []value {
	doc, err := onlyDocument(src)
	if err != nil {
		r.diagnostics = append(r.diagnostics, yamlError(name, err))
		return nil
	}
	top := value{r: r, file: name}
	if len(doc.Content) > 0 {
		top.node = doc.Content[0]
		top = top.resolved()
	}
	if !top.present() {
		top.fail("the file is empty: it needs a model_list")
		return nil
	}
	if !top.mappingOnly() {
		return nil
	}
	var tops []value
	for _, f := range top.fields() {
		if f.name == "include" {
			for _, item := range f.items() {
				tops = append(tops, r.include(item, chain)...)
			}
		}
	}
	return append(tops, top)
}

func (r *reader) include(item value, chain []string) []value {
	path, ok := item.scalar("a file name")
	if !ok {
		return nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(item.file), path)
	}
	if slices.Contains(chain, absolute(path)) {
		item.fail("%s includes itself", path)
		return nil
	}
	if !item.opens() {
		return nil
	}
	src, err := r.read(path)
	if err != nil {
		item.fail("cannot include: %v", err)
		return nil
	}
	return r.file(path, src, append(slices.Clone(chain), absolute(path)))
}

// onlyDocument parses the one document of a file. A second would not be read, with
// all that it says.
func onlyDocument(src []byte) (doc yaml.Node, err error) {
	d := yaml.NewDecoder(bytes.NewReader(src))
	if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return doc, err
	}
	for {
		var more yaml.Node
		err := d.Decode(&more)
		switch {
		case errors.Is(err, io.EOF):
			return doc, nil
		case err != nil:
			return doc, err
		case more.Content[0].Tag != "!!null":
			return doc, fmt.Errorf("yaml: line %d: a second document begins here, which nobody reads: take the line --- before it out",
				more.Content[0].Line)
		}
	}
}

// yamlError words yaml.v3's error, whose text has the line in it.
func yamlError(name string, err error) Diagnostic {
	d := Diagnostic{File: name, Line: 1, Severity: Error, Message: "not valid YAML: " + yamlText(err.Error())}
	text := strings.TrimPrefix(yamlText(err.Error()), "yaml: ")
	var typeError *yaml.TypeError
	if errors.As(err, &typeError) && len(typeError.Errors) > 0 {
		text = typeError.Errors[0]
	}
	var line int
	if _, scan := fmt.Sscanf(text, "line %d:", &line); scan == nil {
		_, text, _ = strings.Cut(text, ": ")
		d.Line, d.Message = line, "not valid YAML: "+text
	}
	return d
}

// sections are the settings sections, from the weakest to the strongest.
func sections() []string { return []string{"general_settings", "litellm_settings", "router_settings"} }

// build makes the Config of all files read.
func (r *reader) build(tops []value) *Config {
	if len(tops) == 0 {
		return nil
	}
	for _, top := range tops {
		for _, f := range top.fields() {
			if f.name == "environment_variables" {
				r.variables(f)
			}
		}
	}
	c := defaults()
	c.fromEnvironment(r.env)
	entries := []value{}
	listed := false
	bySection := map[string][]value{}
	for _, top := range tops {
		for _, f := range top.fields() {
			switch {
			case f.name == "model_list":
				listed = true
				entries = append(entries, f.list("a list of models")...)
			case slices.Contains(sections(), f.name):
				bySection[f.name] = append(bySection[f.name], f)
			case f.name == "credential_list":
				r.readCredentials(f)
			case f.name == "include", f.name == "environment_variables":
			case f.name == "api_key":
				f.fail("nobody reads it here: the key that clients must send is master_key in general_settings, that of a provider belongs in " +
					"litellm_params")
			case f.answer(litellm.Top):
			default:
				f.unknown(append(sections(), "model_list", "include", "environment_variables", "credential_list"))
			}
		}
	}
	if !listed {
		tops[len(tops)-1].fail("there is no model_list: name at least one model, see examples/quickstart/config.yaml")
		return nil
	}
	r.settings(c, bySection)
	r.lostVariable(c, tops)
	r.deployments(c, entries)
	r.finish(c)
	return c
}

// list wants a list and returns its elements.
func (v value) list(want string) []value {
	if v.present() && v.node.Kind != yaml.SequenceNode {
		v.fail("want %s, got %s", want, v.got())
		return nil
	}
	return v.items()
}

func (r *reader) variables(section value) {
	for _, f := range section.fields() {
		if s, ok := f.scalar("text"); ok {
			r.env.file[f.name] = s
		}
	}
}
