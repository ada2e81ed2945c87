package cli

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/exec"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// configFlags are the flags of every command that reads the model config.
type configFlags struct {
	path, envFile string
	strict        bool
	keysElsewhere bool // set by commands that need no keys: unset variables are no error
	unenforced    string
}

func (f *configFlags) add(flags *flag.FlagSet) {
	flags.StringVar(&f.path, "config", "", "the model config, a LiteLLM-format YAML `FILE`")
	flags.StringVar(&f.envFile, "env-file", "", "a `FILE` of NAME=VALUE lines (default: .env beside the config)")
	flags.BoolVar(&f.strict, "strict", false, "fail when a variable that the config names is not set")
	flags.StringVar(&f.unenforced, "allow-unenforced", "", "go on without these `NAMES`, with commas between,\n"+
		"which restrict and isthmus does not enforce")
}

// loaded is a model config as it was read, and the router made from it.
type loaded struct {
	config *config.Config
	notes  config.Diagnostics
	router *routing.Router
	hooks  []*callback.Hooks // built into the program
	source *source           // the files that it was read from
}

var errNoConfig = errors.New("which model config? say --config FILE; examples/quickstart/config.yaml is one to start from")

// load reads the config and builds the router.
func (f configFlags) load() (*loaded, error) { return f.loadFrom(newSource()) }

// loadFrom is load; it records in s what it reads.
func (f configFlags) loadFrom(s *source) (*loaded, error) {
	if f.path == "" {
		return nil, errNoConfig
	}
	c, notes, err := config.Load(f.options(s))
	if errors.Is(err, fs.ErrNotExist) && f.envFile == "" {
		return nil, fmt.Errorf("there is no file %s; examples/quickstart/config.yaml is a model config to start from", f.path)
	}
	if err != nil {
		return nil, fmt.Errorf("the model config cannot be used:\n%w", err)
	}
	router, err := routing.New(c, routing.Options{})
	if err != nil {
		return nil, fmt.Errorf("the model config cannot be used: %w", err)
	}
	return &loaded{config: c, notes: notes, router: router, source: s}, nil
}

func (f configFlags) options(s *source) config.Options {
	return config.Options{
		Path: f.path, EnvFile: f.envFile, Strict: f.strict, KeysElsewhere: f.keysElsewhere, Command: checkCommandLine, Read: s.read,
		AllowUnenforced: strings.FieldsFunc(f.unenforced, func(c rune) bool { return c == ',' || c == ' ' }),
	}
}

// checkCommandLine returns an error for a callback command that cannot be parsed.
func checkCommandLine(line string) error {
	_, err := exec.Parse(line)
	return err
}

// logNotes logs the warnings and notices about the config.
func (cfg *loaded) logNotes(log *slog.Logger) {
	if len(cfg.config.Unenforced) > 0 {
		log.Warn("the configuration restricts by these, and isthmus does not enforce them", "unenforced", cfg.config.Unenforced)
	}
	for _, n := range cfg.notes {
		if n.Severity == config.Warning {
			log.Warn(n.String())
			continue
		}
		log.Info(n.String())
	}
}

// input is the part of the Envoy configuration that comes from the config.
func (cfg *loaded) input(version envoy.Version) envoy.Input {
	in := envoy.Input{
		Version: version, MaxBody: uint64(cfg.config.MaxRequestBody), QueueTimeout: cfg.config.Limits.QueueTimeout,
		IdleTimeouts: cfg.idleTimeouts(), CABundle: caBundle(),
	}
	for _, d := range cfg.router.Deployments() {
		in.Upstreams = append(in.Upstreams, envoy.Upstream{
			Cluster: d.Cluster, Deployment: d.ID, URL: d.BaseURL, Timeout: d.AttemptTimeout(false),
			StreamCluster: d.StreamCluster, StreamTimeout: d.AttemptTimeout(true),
		})
	}
	for _, o := range cfg.router.Orders() {
		in.Orders = append(in.Orders, envoy.Order{Name: o.Name, Clusters: o.Clusters})
	}
	return in
}

// idleTimeouts are the distinct attempt timeouts, which bound the gaps between
// bytes too.
func (cfg *loaded) idleTimeouts() []time.Duration {
	var out []time.Duration
	for _, d := range cfg.router.Deployments() {
		out = append(out, d.Timeout)
		if d.StreamTimeout > 0 {
			out = append(out, d.StreamTimeout)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// caBundle finds the system's root certificates, where the distributions of
// Linux and macOS keep them; "" when there are none.
func caBundle() string {
	for _, path := range []string{
		os.Getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",             // openSUSE
		"/etc/ssl/cert.pem",                  // macOS, BSD
	} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
