package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// Main runs the command line that the process was started with, until it ends or
// a signal comes, and returns the exit code: 0, 1 for a failure, 2 for a wrong
// command line. A program of one's own hands over its hooks:
//
//	func main() { os.Exit(cli.Main(&callback.Hooks{SuccessEvent: …})) }
func Main(hooks ...*callback.Hooks) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, and Envoy with it
	return Run(ctx, os.Args[1:], os.Stdout, os.Stderr, hooks...)
}

// Run runs one command line, as [Main] does, until it ends or ctx does, and returns
// its exit code. args are those after the program's name. Commands may run side by
// side in one process, with writers of their own: tests of the whole do.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, hooks ...*callback.Hooks) int {
	return program{hooks}.dispatch(ctx, args, stdout, stderr)
}

const usage = `isthmus: an LLM gateway that lives inside Envoy

  isthmus run    --config FILE [--port 4000] [--envoy PATH]   Envoy and the service together
  isthmus serve  --config FILE [--listen ADDR] [--admin ADDR] the service alone, for an Envoy you run
  isthmus envoy  --config FILE [--envoy-version 1.40] [--format bootstrap|filters|istio]
                                                              Envoy configuration to standard output
  isthmus check  --config FILE                                validate the model config
  isthmus cache  ping|flush --config FILE                     ask after the cache in Redis, or empty it
  isthmus version                                             what this binary was built from

  isthmus COMMAND --help lists the flags of a command.
`

// errUsage is a wrong command line, about which the user was already told.
var errUsage = errors.New("usage")

// program is the command line with the hooks that were built into it.
type program struct{ hooks []*callback.Hooks }

// dispatch runs one command and returns the exit code.
func (p program) dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"run": p.run, "serve": p.serve, "envoy": envoyCommand, "check": checkCommand,
		"cache": cacheCommand, "version": versionCommand, "--version": versionCommand,
	}
	command, ok := commands[args[0]]
	if !ok {
		if args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
			fmt.Fprint(stdout, usage)
			return 0
		}
		fmt.Fprintf(stderr, "isthmus: there is no command %q\n\n%s", args[0], usage)
		return 2
	}
	switch err := command(ctx, args[1:], stdout, stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	default:
		fmt.Fprintf(stderr, "isthmus %s: %v\n", args[0], err)
		return 1
	}
}

// parse reads flags. It writes what is wrong to stderr and returns errUsage, or
// flag.ErrHelp after --help.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer) error {
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "isthmus %s: %q is not expected: everything is said with flags\n", flags.Name(), flags.Arg(0))
		return errUsage
	}
	return nil
}
