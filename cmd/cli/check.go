package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
)

// checkCommand validates a model config: everything that is wrong with it, with
// its line, and what to write instead.
func checkCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var f configFlags
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	f.add(flags)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	f.strict = true
	g, err := f.load()
	if err != nil {
		return err
	}
	for _, n := range g.notes {
		fmt.Fprintf(stdout, "%s: %s\n", n.Severity, n)
	}
	fmt.Fprintf(stdout, "%s is fine: %d deployments serve %d models\n", f.path, len(g.router.Deployments()), len(g.router.Models()))
	return nil
}
