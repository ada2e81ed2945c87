package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	configFlags
	port                            portFlags
	drain                           drainFlags
	listen, admin, advertise, peers string
	watch                           bool
}

func (f *serveFlags) add(flags *flag.FlagSet) {
	f.configFlags.add(flags)
	f.port.add(flags)
	f.drain.add(flags, serveGrace)
	flags.StringVar(&f.listen, "listen", "127.0.0.1:9100", "`ADDRESS` to serve Envoy at: IP:PORT or unix:///path")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:9102", "`ADDRESS` of the admin port; empty for none")
	flags.StringVar(&f.advertise, "advertise", "",
		"`HOST:PORT` at which other replicas reach this one (default: --listen, when it is no loopback address)")
	flags.StringVar(&f.peers, "peers", "", "`HOST:PORT` of other replicas, with commas between,\n"+
		"where they do not meet in a Redis; a name is all of its addresses")
	flags.BoolVar(&f.watch, "watch", false, "take up changes of the config file by itself, not only on SIGHUP")
}

// serve runs the service alone.
func (p program) serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f serveFlags
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.add(flags)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	address, err := envoy.ParseAddress(f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
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
	if open := openAccess(cfg.config, behindEnvoy(address)); open != "" {
		log.Warn(open)
	}
	o, err := f.options(address, log)
	if err != nil {
		return err
	}
	s, err := startService(cfg, o, log)
	if err != nil {
		return err
	}
	defer s.stop()
	reload, stop := notifySIGHUP(stderr)
	defer stop()
	r := &reloader{
		flags: f.configFlags, hooks: p.hooks, service: s, clusters: newExternalClusters(cfg, log), client: behindEnvoy(address),
		watch: f.watch, poll: pollTime, log: log,
	}
	defer r.start(ctx, reload)()
	fmt.Fprintf(stdout, "isthmus serves Envoy at %s with %d models%s\n", address, len(cfg.router.Models()), s.adminNotice("; admin at "))
	select {
	case <-ctx.Done():
	case err := <-s.failed:
		return err
	}
	open, cancel := f.drain.begin(ctx, s, log)
	defer cancel()
	wait(open, f.drain.grace, nil)
	s.leave(open)
	s.awaitIdle(open)
	s.finish(open)
	return nil
}

// options are those of the service that the flags ask for.
func (f *serveFlags) options(address envoy.Address, log *slog.Logger) (o serviceOptions, err error) {
	o = serviceOptions{Listen: address, Admin: f.admin, Replica: f.advertise}
	if named := splitList(f.peers); len(named) > 0 {
		if o.Peers, err = peer.Named(named, net.DefaultResolver.LookupHost); err != nil {
			return o, fmt.Errorf("--peers: %w", err)
		}
	}
	if o.Replica == "" {
		o.Replica = reachable(address)
	}
	o.Port, err = f.port.open(address, log)
	return o, err
}

// reachable is the address at which other machines reach a listener: its own, or
// this machine's first global one when it listens on all; "" when only this machine
// reaches it.
func reachable(a envoy.Address) string {
	ip := net.ParseIP(a.Host)
	if a.Path != "" || ip == nil || ip.IsLoopback() {
		return ""
	}
	if ip.IsUnspecified() {
		ip = nil
		addresses, _ := net.InterfaceAddrs()
		for _, each := range addresses {
			if n, ok := each.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				ip = n.IP
				break
			}
		}
		if ip == nil {
			return ""
		}
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(a.Port)))
}
