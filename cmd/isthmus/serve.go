package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy"
)

// drainTime is how long open requests may run on after a signal.
const drainTime = 30 * time.Second

// serveCommand runs the service alone.
func serveCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f configFlags
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.add(flags)
	listen := flags.String("listen", "127.0.0.1:9100", "`ADDRESS` to serve Envoy at: IP:PORT or unix:///path")
	admin := flags.String("admin", "127.0.0.1:9102", "`ADDRESS` of the admin port; empty for none")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	address, err := envoy.ParseAddress(*listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	g, err := f.load()
	if err != nil {
		return err
	}
	log := newLogger(stderr, g.config)
	g.tell(log)
	s, err := startService(g, address, *admin, log)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintf(stdout, "isthmus serves Envoy at %s with %d models; admin at http://%s\n", address, len(g.router.Models()), s.adminAt)
	select {
	case <-ctx.Done():
	case err := <-s.failed:
		return err
	}
	log.Info("draining", slog.Int64("open", s.gateways.Open()))
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	s.drain(limit)
	return nil
}
