package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/envoy"
)

// envoyCommand writes the Envoy configuration that fits a model config.
func envoyCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var f configFlags
	flags := flag.NewFlagSet("envoy", flag.ContinueOnError)
	f.add(flags)
	version := flags.String("envoy-version", envoy.Default.String(), "the Envoy `VERSION` to write for, 1.36 to 1.40")
	format := flags.String("format", "bootstrap", "bootstrap: a whole configuration; filters: the filters, routes and clusters alone")
	listen := flags.String("listen", "0.0.0.0:4000", "`ADDRESS` the clients come in at")
	processor := flags.String("processor", "127.0.0.1:9100", "`ADDRESS` of `isthmus serve`: IP:PORT or unix:///path")
	admin := flags.String("admin", "127.0.0.1:9901", "`ADDRESS` of Envoy's own admin interface")
	accessLog := flags.String("access-log", "/dev/stdout", "`FILE` for Envoy's JSON access log; empty for none")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	v, err := envoy.ParseVersion(*version)
	if err != nil {
		return err
	}
	g, err := f.load()
	if err != nil {
		return err
	}
	in := g.input(v)
	in.AccessLog = *accessLog
	if in.CABundle == "" {
		in.CABundle = "/etc/ssl/certs/ca-certificates.crt" // the configuration is for another machine, perhaps
	}
	for _, a := range []struct {
		text string
		into *envoy.Address
	}{{*listen, &in.Listen}, {*processor, &in.Processor}, {*admin, &in.Admin}} {
		if *a.into, err = envoy.ParseAddress(a.text); err != nil {
			return err
		}
	}
	return writeEnvoy(stdout, in, *format)
}

func writeEnvoy(w io.Writer, in envoy.Input, format string) error {
	var m proto.Message
	var err error
	switch format {
	case "bootstrap":
		m, err = envoy.Bootstrap(in)
	case "filters":
		m, err = envoy.Parts(in)
	default:
		return fmt.Errorf("--format %s: want bootstrap or filters", format)
	}
	if err != nil {
		return err
	}
	text, err := envoy.YAML(m)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}
