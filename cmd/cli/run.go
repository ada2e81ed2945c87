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
}

// readyTime is how long Envoy may take to start.
const readyTime = 30 * time.Second

// run runs Envoy and the service together.
func (p program) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f runFlags
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	f.add(flags)
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
	g, err := f.load()
	if err != nil {
		return err
	}
	g.hooks = p.hooks
	log := newLogger(stderr, g.config)
	g.tell(log)
	if err := f.checkPort(); err != nil {
		return err
	}
	if open := everybody(g.config, f.url()); open != "" {
		log.Warn(open)
	}
	finder := process.Finder{Path: f.envoyPath, Notify: func(s string) { log.Info(s) }}
	binary, err := finder.Find(ctx)
	if err != nil {
		return err
	}
	asked, deaf := hangups(stderr)
	defer deaf()
	r := &runner{flags: f, gateway: g, binary: binary, log: log, asked: asked}
	return r.run(ctx, stdout)
}

// url is where the clients come in.
func (f runFlags) url() string { return "http://" + net.JoinHostPort(f.host, strconv.Itoa(f.port)) }

// checkPort fails early, and with the reason, when the port is taken.
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
	flags   runFlags
	gateway *gateway
	binary  process.Binary
	log     *slog.Logger
	asked   <-chan os.Signal // to read the config again
	dir     string           // sockets
	config  []byte           // Envoy's

	clusters *ownClusters
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
	at := places{Envoy: processor, Admin: r.flags.admin, Front: r.binary.Version, Clusters: r.clusters.xds}
	s, err := startService(r.gateway, at, r.log)
	if err != nil {
		return err
	}
	defer s.stop()
	p, err := r.start(ctx)
	if err != nil {
		return err
	}
	reloads := &reloader{
		flags: r.flags.configFlags, hooks: r.gateway.hooks, service: s, clusters: r.clusters, front: r.flags.url(),
		watch: r.flags.watch, poll: pollTime, log: r.log,
	}
	defer reloads.start(ctx, r.asked)()
	r.greet(stdout, s)
	return r.watch(ctx, s, p)
}

// configure writes Envoy's configuration: what can change while it runs is asked
// for by Envoy itself.
func (r *runner) configure(ctx context.Context, processor envoy.Address) error {
	version, err := envoy.ParseVersion(r.binary.Version)
	if err != nil {
		return err
	}
	r.clusters = &ownClusters{xds: xds.New(), version: version, log: r.log}
	if err := r.clusters.add(ctx, r.gateway); err != nil {
		return err
	}
	in := r.gateway.input(version)
	in.Dynamic = true
	in.Listen = envoy.Address{Host: r.flags.host, Port: uint32(r.flags.port)}
	in.Admin = envoy.Address{Path: r.adminSocket()}
	in.Processor = processor
	in.AccessLog = r.flags.accessLog
	boot, err := envoy.Bootstrap(in)
	if err != nil {
		return err
	}
	r.config, err = envoy.YAML(boot)
	return err
}

func (r *runner) adminSocket() string { return filepath.Join(r.dir, "envoy.sock") }

// start starts Envoy and waits until it takes requests.
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
		end(ctx, p, time.Second)
		return nil, err
	}
	r.log.Debug("Envoy is ready", "pid", p.Pid(), "version", r.binary.Version)
	return p, nil
}

// greet prints the one line that says where everything is, and a request to try.
func (r *runner) greet(w io.Writer, s *service) {
	url := r.flags.url()
	models := strings.Join(r.gateway.router.Models(), ", ")
	fmt.Fprintf(w, "isthmus is ready at %s (Envoy %s%s), models: %s\n", url, r.binary.Version, s.tellAdmin(", admin "), models)
	if model := exampleModel(r.gateway.router); model != "" {
		key := ""
		if !r.gateway.config.MasterKey.IsZero() {
			key = ` -H "Authorization: Bearer $KEY"`
		}
		fmt.Fprintf(w, "try: curl %s/v1/chat/completions%s -H 'Content-Type: application/json' "+
			"-d '{\"model\": %q, \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'\n",
			url, key, model)
	}
}

// envoyTime is how long an Envoy may take to end by itself.
const envoyTime = 5 * time.Second

// end ends an Envoy, by force after this time; ctx may have ended.
func end(ctx context.Context, p *process.Process, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	p.Stop(ctx)
}
