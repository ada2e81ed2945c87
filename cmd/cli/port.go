package cli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/routing/file"
	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// portFlags are the flags that say who may use the service's port. Who reaches it
// gets the providers' keys.
type portFlags struct {
	cert, key, clientCA string
	secretFile          string
	insecure            bool
}

// secretVariable is the environment variable of the shared secret.
const secretVariable = "ISTHMUS_SHARED_SECRET"

func (f *portFlags) add(flags *flag.FlagSet) {
	flags.StringVar(&f.cert, "tls-cert", "", "PEM `FILE` with the certificate of this port; read again when it changes")
	flags.StringVar(&f.key, "tls-key", "", "PEM `FILE` with its key")
	flags.StringVar(&f.clientCA, "tls-client-ca", "", "PEM `FILE` with the roots of the certificates that Envoys and replicas must have")
	flags.StringVar(&f.secretFile, "shared-secret-file", "",
		"`FILE` with the secret that Envoys and replicas must say (default: $"+secretVariable+")\n"+
			"each line is one; the first is sent to other replicas")
	flags.BoolVar(&f.insecure, "insecure-listen", false, "serve every client that reaches --listen: something else restricts access to it")
}

// open reads the files that the flags name. A port beyond loopback must know its
// callers, by secret or certificate, or be opened with --insecure-listen.
func (f portFlags) open(listen envoy.Address, log *slog.Logger) (*portSecurity, error) {
	p := &portSecurity{flags: f}
	switch {
	case (f.cert == "") != (f.key == ""):
		return nil, errors.New("--tls-cert and --tls-key go together")
	case f.clientCA != "" && f.cert == "":
		return nil, errors.New("--tls-client-ca: the port has no certificate; say --tls-cert and --tls-key")
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	known := f.clientCA != "" || p.secret
	switch {
	case known && f.insecure:
		return nil, errors.New("--insecure-listen: the port knows its callers, so leave it out")
	case known || loopback(listen):
		return p, nil
	case !f.insecure:
		return nil, fmt.Errorf("--listen %s is beyond this machine, and who reaches this port gets the providers' keys: "+
			"say --shared-secret-file FILE (or $%s), which Envoy says too; "+
			"--tls-cert, --tls-key and --tls-client-ca, for mutual TLS; "+
			"or --insecure-listen, when something else lets Envoy alone come here (docs/operations.md)", listen, secretVariable)
	}
	log.Warn("everybody who reaches " + listen.String() + " gets the providers' keys (--insecure-listen): let Envoy alone come there")
	return p, nil
}

func loopback(a envoy.Address) bool {
	ip := net.ParseIP(a.Host)
	return a.Path != "" || ip != nil && ip.IsLoopback()
}

// portSecurity authenticates the callers of the service's port, and this replica at
// the ports of others. The zero value serves everybody, in plain text.
type portSecurity struct {
	flags   portFlags
	secrets extproc.Secrets
	secret  bool                         // callers must send one
	tls     atomic.Pointer[certificates] // nil: plain text
	read    [4][]byte                    // the files as last used; of watch's goroutine
	logged  string                       // the last error that was logged; "": none since
}

// certificates are the TLS material of the port.
type certificates struct {
	own   tls.Certificate
	roots *x509.CertPool // of callers; nil: they need none
	name  string         // DNS name that replicas' certificates must have; "": their address
}

// load reads the files and puts them in force.
func (p *portSecurity) load() error {
	files, err := p.files()
	if err != nil {
		return err
	}
	return p.use(files)
}

// files reads, in this order, the certificate, its key, the roots and the secret; nil
// for what is not configured.
func (p *portSecurity) files() (out [4][]byte, err error) {
	for i, path := range []string{p.flags.cert, p.flags.key, p.flags.clientCA, p.flags.secretFile} {
		if path == "" {
			continue
		}
		if out[i], err = file.Read(path); err != nil {
			return out, fmt.Errorf("the files of the service's port: %w", err)
		}
	}
	if p.flags.secretFile == "" {
		out[3] = []byte(os.Getenv(secretVariable))
	}
	return out, nil
}

// use puts these files, in the order of files, in force; on an error none of them.
func (p *portSecurity) use(files [4][]byte) error {
	var next *certificates
	if p.flags.cert != "" {
		own, err := tls.X509KeyPair(files[0], files[1])
		if err != nil {
			return fmt.Errorf("--tls-cert %s: %w", p.flags.cert, err)
		}
		next = &certificates{own: own}
		if names := own.Leaf.DNSNames; len(names) > 0 {
			next.name = names[0]
		}
	}
	if p.flags.clientCA != "" {
		next.roots = x509.NewCertPool()
		if !next.roots.AppendCertsFromPEM(files[2]) {
			return fmt.Errorf("--tls-client-ca %s: there is no certificate in it", p.flags.clientCA)
		}
	}
	all, err := readSecrets(p.flags.secretFile, files[3])
	if err == nil {
		err = p.secrets.Set(all)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", secretPlace(p.flags.secretFile), err)
	}
	p.secret, p.read = len(all) > 0, files
	p.tls.Store(next)
	return nil
}

// secretPlace names the source of the shared secret, for errors.
func secretPlace(file string) string {
	if file == "" {
		return "$" + secretVariable
	}
	return "--shared-secret-file " + file
}

// readSecrets returns the secrets of a file, or of the variable when file is "": one
// a line. A file must have one.
func readSecrets(file string, text []byte) ([]secret.Text, error) {
	var all []secret.Text
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, secret.New(line))
		}
	}
	if file != "" && len(all) == 0 {
		return nil, errors.New("there is no secret in it")
	}
	return all, nil
}

// securityPoll is how often the files are read again.
const securityPoll = 5 * time.Second

// watch puts changed files in force until stop is called. Files that cannot be used
// are logged, and the old ones stay in force.
func (p *portSecurity) watch(log *slog.Logger, g *guard.Guard) (stop func()) {
	if p.flags == (portFlags{}) || p.flags == (portFlags{insecure: true}) {
		return func() {}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	g.Go("the port's certificates", func() {
		defer close(done)
		tick := time.NewTicker(securityPoll)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				g.Run("the port's certificates", func() { p.reloadIfChanged(log) })
			}
		}
	})
	return func() { close(ended); <-done }
}

// reloadIfChanged reads the files and puts them in force if they have changed.
func (p *portSecurity) reloadIfChanged(log *slog.Logger) {
	files, err := p.files()
	changed := false
	for i := range files {
		changed = changed || !bytes.Equal(files[i], p.read[i])
	}
	if err == nil && changed {
		err = p.use(files)
	}
	before := p.logged
	p.logged = ""
	switch {
	case err != nil:
		if p.logged = err.Error(); p.logged != before {
			log.Error("the changed certificate or secret of the service's port cannot be used: the one before stays in force", "error", err)
		}
	case changed:
		log.Info("a changed certificate or secret of the service's port is in force")
	case before != "":
		log.Info("the certificate and secret of the service's port are again those in force")
	}
}

// server returns the credentials of the port: TLS, or plain text without a
// certificate.
func (p *portSecurity) server() credentials.TransportCredentials {
	if p.tls.Load() == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := p.tls.Load()
			c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{now.own}}
			if now.roots != nil {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, now.roots
			}
			return c, nil
		},
	})
}

// dial connects to another replica, whose port must be secured like this one's.
func (p *portSecurity) dial(address string) (peer.Conn, error) {
	transport := insecure.NewCredentials()
	if p.tls.Load() != nil {
		transport = credentials.NewTLS(p.client(address))
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(transport), grpc.WithPerRPCCredentials(&p.secrets),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
}

// client is the TLS config of a connection to another replica. Its certificate must
// be issued by the roots of --tls-client-ca, or the system's without them, for the
// first DNS name of our own certificate, or its address if ours has none.
func (p *portSecurity) client(address string) *tls.Config {
	host, _, _ := net.SplitHostPort(address)
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The certificate is verified below: the roots may change meanwhile.
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own := p.tls.Load().own
			return &own, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			now := p.tls.Load()
			options := x509.VerifyOptions{Roots: now.roots, DNSName: now.name, Intermediates: x509.NewCertPool()}
			if options.DNSName == "" {
				options.DNSName = host
			}
			for _, each := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(each)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		},
	}
}
