package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/file"
)

// envoyFlags are the flags of envoy.
type envoyFlags struct {
	configFlags
	format, version, processor, caBundle string
	listen, admin, accessLog             string // bootstrap
	domains                              string // filters, istio
	istio                                istioFlags

	secretFile string
	security   envoy.Security
}

// istioFlags are those of --format istio.
type istioFlags struct {
	version, name, namespace, selector, gateway string
	port                                        uint
}

func (f *envoyFlags) add(flags *flag.FlagSet) {
	f.configFlags.add(flags)
	flags.StringVar(&f.format, "format", "bootstrap", "`WHAT` to write\n"+
		"bootstrap: a whole configuration for an Envoy of its own\n"+
		"filters: the parts to add to an Envoy that has other traffic\n"+
		"istio: an EnvoyFilter and its like for an Istio gateway")
	flags.StringVar(&f.version, "envoy-version", envoy.Default.String(),
		"the Envoy `VERSION` to write for, 1.36 to 1.40 (istio: see --istio-version)")
	flags.StringVar(&f.processor, "processor", "", "`ADDRESS` of isthmus serve: IP:PORT, NAME:PORT or unix:///path\n"+
		"several with commas between are its replicas; a name is all of its addresses\n"+
		"(default 127.0.0.1:9100; istio: isthmus.NAMESPACE.svc.cluster.local:9100)")
	flags.StringVar(&f.secretFile, "shared-secret-file", "",
		"`FILE` with the secret that isthmus serve wants (default: $"+secretVariable+");\n"+
			"it is then written into the configuration, which must be kept as a secret")
	flags.StringVar(&f.security.SecretVariable, "shared-secret-env", "",
		"`VARIABLE` of Envoy's own environment that has the secret: then the configuration does not")
	flags.StringVar(&f.security.CA, "processor-ca", "", "PEM `FILE` where Envoy runs: the roots of isthmus's certificate; turns TLS on")
	flags.StringVar(&f.security.Cert, "processor-cert", "", "PEM `FILE` where Envoy runs: its own certificate, which isthmus asks for")
	flags.StringVar(&f.security.Key, "processor-key", "", "PEM `FILE` where Envoy runs: the key of that certificate")
	flags.StringVar(&f.security.Name, "processor-name", "", "`NAME` that isthmus's certificate is for (default: the host of --processor)")
	flags.StringVar(&f.caBundle, "ca-bundle", "", "`FILE` with root certificates where Envoy runs (default: where this system has it)")
	flags.StringVar(&f.listen, "listen", "", "bootstrap: `ADDRESS` the clients come in at\n"+
		"(default 0.0.0.0:4000; without a master_key 127.0.0.1:4000)")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:9901", "bootstrap: `ADDRESS` of Envoy's own admin interface; empty for none")
	flags.StringVar(&f.accessLog, "access-log", "/dev/stdout", "bootstrap: `FILE` for Envoy's JSON access log; empty for none")
	flags.StringVar(&f.domains, "domain", "", "filters, istio: host `NAMES` that lead to isthmus, with commas between")
	flags.StringVar(&f.istio.version, "istio-version", envoy.DefaultIstio.String(), "istio: the Istio `VERSION` to write for, 1.28 to 1.31")
	flags.StringVar(&f.istio.namespace, "namespace", "istio-system", "istio: the `NAMESPACE` of the gateway")
	flags.StringVar(&f.istio.selector, "gateway-selector", "istio=ingressgateway",
		"istio: `LABELS` of the gateway's pods, name=value with commas between")
	flags.StringVar(&f.istio.gateway, "gateway", "", "istio: the Gateway resource, `NAMESPACE/NAME` (default: every one of the pods)")
	flags.UintVar(&f.istio.port, "gateway-port", 443, "istio: the `PORT` of the Gateway's server; 0 for all of them")
	flags.StringVar(&f.istio.name, "name", "isthmus", "istio: the `NAME` of the resources")
}

// formatOf lists the formats that a flag is for; nil: all of them.
func formatOf(flag string) []string {
	switch flag {
	case "listen", "admin", "access-log":
		return []string{"bootstrap"}
	case "domain":
		return []string{"filters", "istio"}
	case "istio-version", "namespace", "gateway-selector", "gateway", "gateway-port", "name":
		return []string{"istio"}
	case "envoy-version":
		return []string{"bootstrap", "filters"}
	}
	return nil
}

// envoyCommand writes the Envoy configuration that fits a model config. It needs no
// provider keys: only the service has them.
func envoyCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	f := envoyFlags{configFlags: configFlags{keysElsewhere: true}}
	flags := flag.NewFlagSet("envoy", flag.ContinueOnError)
	f.add(flags)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if !slices.Contains([]string{"bootstrap", "filters", "istio"}, f.format) {
		return fmt.Errorf("--format %s: want bootstrap, filters or istio", f.format)
	}
	var misplaced error
	flags.Visit(func(set *flag.Flag) {
		if of := formatOf(set.Name); of != nil && !slices.Contains(of, f.format) {
			misplaced = fmt.Errorf("--%s is for --format %s, not %s", set.Name, strings.Join(of, " or "), f.format)
		}
	})
	if misplaced != nil {
		return misplaced
	}
	cfg, err := f.load()
	if err != nil {
		return err
	}
	if f.listen == "" {
		f.listen = listenAddress(cfg.config)
	}
	f.printWarnings(stderr, cfg)
	text, err := f.write(cfg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "# Written by: isthmus envoy %s\n%s", shellWords(args), text)
	return err
}

// printWarnings prints the warnings about the config, and who is let in without a key.
func (f *envoyFlags) printWarnings(stderr io.Writer, cfg *loaded) {
	for _, n := range cfg.notes {
		if n.Severity == config.Warning {
			fmt.Fprintf(stderr, "%s: %s\n", n.Severity, n)
		}
	}
	client := "this Envoy"
	if f.format == "bootstrap" {
		client = f.listen
	}
	if open := openAccess(cfg.config, client); open != "" {
		fmt.Fprintf(stderr, "%s: %s\n", config.Warning, open)
	}
}

// write returns the configuration as YAML.
func (f *envoyFlags) write(cfg *loaded) ([]byte, error) {
	version, err := envoy.ParseVersion(f.version)
	if err != nil {
		return nil, fmt.Errorf("--envoy-version: %w", err)
	}
	in := cfg.input(version)
	in.Domains = splitList(f.domains)
	if f.caBundle != "" {
		in.CABundle = f.caBundle
	}
	if in.CABundle == "" {
		in.CABundle = "/etc/ssl/certs/ca-certificates.crt" // the configuration is for another machine, perhaps
	}
	if in.Processors, err = envoy.ParseTargets(f.processorAddress()); err != nil {
		return nil, fmt.Errorf("--processor: %w", err)
	}
	if in.Security, err = f.readSecurity(); err != nil {
		return nil, err
	}
	switch f.format {
	case "filters":
		a, err := envoy.Attach(in)
		if err != nil {
			return nil, err
		}
		return a.YAML()
	case "istio":
		return f.istio.write(in)
	}
	return f.bootstrap(in)
}

// readSecurity is how Envoy and isthmus authenticate each other; it reads the secret.
func (f *envoyFlags) readSecurity() (envoy.Security, error) {
	s := f.security
	switch {
	case (s.Cert == "") != (s.Key == ""):
		return s, errors.New("--processor-cert and --processor-key go together")
	case s.CA == "" && (s.Cert != "" || s.Name != ""):
		return s, errors.New("TLS to isthmus needs --processor-ca, the roots that its certificate must come from")
	}
	if s.SecretVariable != "" {
		if f.secretFile != "" {
			return s, errors.New("--shared-secret-env and --shared-secret-file: say one")
		}
		return s, nil
	}
	text := []byte(os.Getenv(secretVariable))
	if f.secretFile != "" {
		var err error
		if text, err = file.Read(f.secretFile); err != nil {
			return s, fmt.Errorf("--shared-secret-file: %w", err)
		}
	}
	all, err := readSecrets(f.secretFile, text)
	if err == nil {
		err = (&extproc.Secrets{}).Set(all)
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", secretPlace(f.secretFile), err)
	}
	if len(all) > 0 {
		s.Secret = all[0].Reveal()
	}
	return s, nil
}

func (f *envoyFlags) bootstrap(in envoy.Input) ([]byte, error) {
	var err error
	in.AccessLog = f.accessLog
	if in.Listen, err = envoy.ParseAddress(f.listen); err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if f.admin != "" {
		if in.Admin, err = envoy.ParseAddress(f.admin); err != nil {
			return nil, fmt.Errorf("--admin: %w", err)
		}
	}
	boot, err := envoy.Bootstrap(in)
	if err != nil {
		return nil, err
	}
	return envoy.YAML(boot)
}

func (f *istioFlags) write(in envoy.Input) ([]byte, error) {
	version, err := envoy.ParseIstioVersion(f.version)
	if err != nil {
		return nil, fmt.Errorf("--istio-version: %w", err)
	}
	o := envoy.IstioOptions{
		Version: version, Name: f.name, Namespace: f.namespace, Gateway: f.gateway, Port: uint32(f.port), Selector: map[string]string{},
	}
	if f.port > 65535 {
		return nil, fmt.Errorf("--gateway-port %d: want 0 to 65535", f.port)
	}
	for _, label := range splitList(f.selector) {
		name, value, ok := strings.Cut(label, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--gateway-selector %q: want name=value", label)
		}
		o.Selector[name] = value
	}
	return envoy.Istio(in, o)
}

func (f *envoyFlags) processorAddress() string {
	switch {
	case f.processor != "":
		return f.processor
	case f.format == "istio":
		return "isthmus." + f.istio.namespace + ".svc.cluster.local:9100"
	}
	return "127.0.0.1:9100"
}

// splitList splits at commas and drops empty items.
func splitList(s string) []string {
	var out []string
	for _, item := range strings.Split(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// shellWords quotes arguments for a POSIX shell.
func shellWords(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if a == "" || strings.ContainsAny(a, " \t\n'\"\\$`*?[](){}|&;<>~#!") {
			words[i] = "'" + strings.ReplaceAll(strings.ReplaceAll(a, "\n", " "), "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
