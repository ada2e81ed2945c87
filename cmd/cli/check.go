package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// checkCommand validates a model config: everything that is wrong with it, with
// its line, and what to write instead.
func checkCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var f configFlags
	var report reportFormat
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	f.add(flags)
	flags.Var(&report, "report", "say of each key what becomes of it: as text, or =json; needs no keys")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if report != "" {
		return f.report(report, stdout)
	}
	f.strict = true
	cfg, err := f.load()
	if err != nil {
		return err
	}
	for _, n := range cfg.notes {
		fmt.Fprintf(stdout, "%s: %s\n", n.Severity, n)
	}
	if open := openAccess(cfg.config, "the gateway"); open != "" {
		fmt.Fprintf(stdout, "%s: %s\n", config.Notice, open)
	}
	fmt.Fprintf(stdout, "%s is fine: %d deployments serve %d models\n", f.path, len(cfg.router.Deployments()), len(cfg.router.Models()))
	return nil
}

// reportFormat is how the migration report is written: "text" or "json"; "": it is
// not asked for.
type reportFormat string

func (r *reportFormat) String() string { return string(*r) }

// IsBoolFlag reports true: --report alone asks for text.
func (r *reportFormat) IsBoolFlag() bool { return true }

// Set reads the value of the flag.
func (r *reportFormat) Set(s string) error {
	switch s {
	case "true", "text":
		*r = "text"
	case "json":
		*r = "json"
	case "false":
		*r = ""
	default:
		return fmt.Errorf("want text or json, got %q", s)
	}
	return nil
}

// report writes the migration report. The error says that something is refused.
func (f configFlags) report(format reportFormat, stdout io.Writer) error {
	if f.path == "" {
		return errNoConfig
	}
	f.keysElsewhere = true
	r, c, err := config.NewReport(f.options(newSource()))
	if err != nil {
		return err
	}
	if c != nil {
		if _, err := routing.New(c, routing.Options{}); err != nil {
			r.Refuse(err.Error())
		}
	}
	if format == "json" {
		encoder := json.NewEncoder(stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = r.Write(stdout)
	}
	if err == nil && len(r.Refused) > 0 {
		err = fmt.Errorf("%s cannot be used as it is: see what is refused", f.path)
	}
	return err
}
