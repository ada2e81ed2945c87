package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/process"
	"github.com/isthmus-proxy/isthmus/envoy/xds"
)

// runFlags are the flags of run.
type runFlags struct {
	configFlags
	host, admin, envoyPath, accessLog string
	port, concurrency                 int
	watch                             bool
	drain                             drainFlags
}

// readyTime is how long Envoy may take to start.
const readyTime = 30 * time.Second

// run runs Envoy and the service together.
func (p program) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f runFlags
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	f.add(flags)
	f.drain.add(flags, 0)
	flags.IntVar(&f.port, "port", 4000, "`PORT` the clients come in at")
	flags.StringVar(&f.host, "host", "127.0.0.1", "`IP` to listen on; 0.0.0.0 for all")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:0", "`ADDRESS` of the admin port (default: a free one)")
	flags.StringVar(&f.envoyPath, "envoy", "", "the Envoy `BINARY` (default: $ENVOY_PATH, then PATH, then fetched once)")
	flags.StringVar(&f.accessLog, "access-log", "", "`FILE` for Envoy's JSON access log")
	flags.IntVar(&f.concurrency, "concurrency", 0, "Envoy's worker `THREADS` (default: one per core)")
	flags.BoolVar(&f.watch, "watch", true, "take up changes of the config file while running")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if err := f.drain.check(); err != nil {
		return err
	}
	cfg, err := f.load()
	if err != nil {
		return err
	}
	cfg.hooks = p.hooks
	log := newLogger(stderr, cfg.config)
	cfg.logNotes(log)
	if err := f.checkPort(); err != nil {
		return err
	}
	if open := openAccess(cfg.config, f.url()); open != "" {
		log.Warn(open)
	}
	finder := process.Finder{Path: f.envoyPath, Notify: func(s string) { log.Info(s) }}
	binary, err := finder.Find(ctx)
	if err != nil {
		return err
	}
	reload, stop := notifySIGHUP(stderr)
	defer stop()
	r := &runner{flags: f, loaded: cfg, binary: binary, log: log, reload: reload}
	return r.run(ctx, stdout)
}

// url is the base URL of the clients.
func (f runFlags) url() string { return "http://" + net.JoinHostPort(f.host, strconv.Itoa(f.port)) }

// checkPort fails when host or port are wrong or the port is taken, before Envoy is
// started.
func (f runFlags) checkPort() error {
	if f.port < 1 || f.port > 65535 {
		return fmt.Errorf("--port %d: want 1 to 65535", f.port)
	}
	if net.ParseIP(f.host) == nil {
		return fmt.Errorf("--host %s: want an IP address", f.host)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(f.host, strconv.Itoa(f.port)))
	if err != nil {
		return fmt.Errorf("port %d cannot be had: %w; say another with --port", f.port, err)
	}
	return l.Close()
}

// runner is one `isthmus run`.
type runner struct {
	flags  runFlags
	loaded *loaded
	binary process.Binary
	log    *slog.Logger
	reload <-chan os.Signal // asks to read the config again; nil: never
	dir    string           // of the sockets
	config []byte           // Envoy's bootstrap, as YAML

	clusters *managedClusters
}

func (r *runner) run(ctx context.Context, stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "isthmus-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r.dir = dir
	processor := envoy.Address{Path: filepath.Join(dir, "extproc.sock")}
	if err := r.configure(ctx, processor); err != nil {
		return err
	}
	o := serviceOptions{Listen: processor, Admin: r.flags.admin, EnvoyVersion: r.binary.Version, Clusters: r.clusters.xds}
	s, err := startService(r.loaded, o, r.log)
	if err != nil {
		return err
	}
	defer s.stop()
	p, err := r.start(ctx)
	if err != nil {
		return err
	}
	reloads := &reloader{
		flags: r.flags.configFlags, hooks: r.loaded.hooks, service: s, clusters: r.clusters, client: r.flags.url(),
		watch: r.flags.watch, poll: pollTime, log: r.log,
	}
	defer reloads.start(ctx, r.reload)()
	r.printReady(stdout, s)
	return r.supervise(ctx, s, p)
}

// configure writes Envoy's bootstrap. Clusters and routes are not in it: Envoy asks
// the service for them, so that they can change while it runs.
func (r *runner) configure(ctx context.Context, processor envoy.Address) error {
	version, err := envoy.ParseVersion(r.binary.Version)
	if err != nil {
		return err
	}
	r.clusters = &managedClusters{xds: xds.New(), version: version, log: r.log}
	if err := r.clusters.add(ctx, r.loaded); err != nil {
		return err
	}
	in := r.loaded.input(version)
	in.Dynamic = true
	in.Listen = envoy.Address{Host: r.flags.host, Port: uint32(r.flags.port)}
	in.Admin = envoy.Address{Path: r.adminSocket()}
	in.Processors = []envoy.Address{processor}
	in.AccessLog = r.flags.accessLog
	boot, err := envoy.Bootstrap(in)
	if err != nil {
		return err
	}
	r.config, err = envoy.YAML(boot)
	return err
}

func (r *runner) adminSocket() string { return filepath.Join(r.dir, "envoy.sock") }

// start starts Envoy and waits, at most readyTime, until it takes requests.
func (r *runner) start(ctx context.Context) (*process.Process, error) {
	p, err := process.Start(r.binary, r.config, process.Options{Log: r.log, AdminSocket: r.adminSocket(), Concurrency: r.flags.concurrency})
	if err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("not within %s", readyTime))
	defer cancel()
	err = p.Ready(limit)
	if err == nil {
		err = r.clusters.xds.Taken(limit)
	}
	if err != nil {
		stopEnvoy(ctx, p, time.Second)
		return nil, err
	}
	r.log.Debug("Envoy is ready", "pid", p.Pid(), "version", r.binary.Version)
	return p, nil
}

// printReady prints one line with the addresses, and a request to try.
func (r *runner) printReady(w io.Writer, s *service) {
	url := r.flags.url()
	models := strings.Join(r.loaded.router.Models(), ", ")
	fmt.Fprintf(w, "isthmus is ready at %s (Envoy %s%s), models: %s\n", url, r.binary.Version, s.adminNotice(", admin "), models)
	if model := exampleModel(r.loaded.router); model != "" {
		key := ""
		if !r.loaded.config.MasterKey.IsZero() {
			key = ` -H "Authorization: Bearer $KEY"`
		}
		fmt.Fprintf(w, "try: curl %s/v1/chat/completions%s -H 'Content-Type: application/json' "+
			"-d '{\"model\": %q, \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'\n",
			url, key, model)
	}
}

// envoyTime is how long an Envoy may take to end by itself before it is killed.
const envoyTime = 5 * time.Second

// stopEnvoy ends an Envoy, by force after this time. It works when ctx has ended.
func stopEnvoy(ctx context.Context, p *process.Process, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	p.Stop(ctx)
}
