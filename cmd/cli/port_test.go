package cli

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

const portSecret = "a-secret-of-the-port-0123456789"

// secretFile is a file with these lines.
func secretFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPortBeyondThisMachineWantsToKnowItsCallers(t *testing.T) {
	ca := storetest.NewAuthority(t)
	cert, key := ca.Issue(t, "isthmus", "isthmus.test")
	secret := secretFile(t, portSecret)
	for name, tc := range map[string]struct {
		listen string
		flags  portFlags
		env    string
		wants  string // of the error; "": it serves
		log    string
	}{
		"loopback":                        {listen: "127.0.0.1:9100"},
		"loopback of IPv6":                {listen: "[::1]:9100"},
		"a socket":                        {listen: "unix:///run/isthmus.sock"},
		"all addresses":                   {listen: "0.0.0.0:9100", wants: "--shared-secret-file FILE (or $ISTHMUS_SHARED_SECRET)"},
		"all addresses, mutual TLS named": {listen: "0.0.0.0:9100", wants: "--tls-cert, --tls-key and --tls-client-ca"},
		"all addresses, the third way":    {listen: "0.0.0.0:9100", wants: "--insecure-listen"},
		"all addresses of IPv6":           {listen: "[::]:9100", wants: "--insecure-listen"},
		"one address":                     {listen: "192.0.2.1:9100", wants: "--insecure-listen"},
		"insecure by name":                {listen: "0.0.0.0:9100", flags: portFlags{insecure: true}, log: "everybody who reaches 0.0.0.0:9100"},
		"a secret":                        {listen: "0.0.0.0:9100", flags: portFlags{secretFile: secret}},
		"a secret of the environment":     {listen: "0.0.0.0:9100", env: portSecret},
		"mutual TLS":                      {listen: "0.0.0.0:9100", flags: portFlags{cert: cert, key: key, clientCA: ca.CAFile}},
		"TLS that asks nobody":            {listen: "0.0.0.0:9100", flags: portFlags{cert: cert, key: key}, wants: "--insecure-listen"},
		"TLS and a secret":                {listen: "0.0.0.0:9100", flags: portFlags{cert: cert, key: key, secretFile: secret}},
		"a certificate without a key":     {listen: "127.0.0.1:9100", flags: portFlags{cert: cert}, wants: "go together"},
		"roots without a certificate":     {listen: "127.0.0.1:9100", flags: portFlags{clientCA: ca.CAFile}, wants: "--tls-cert and --tls-key"},
		"roots that are none": {listen: "127.0.0.1:9100", flags: portFlags{cert: cert, key: key, clientCA: secret},
			wants: "no certificate in it"},
		"a key of another":         {listen: "127.0.0.1:9100", flags: portFlags{cert: cert, key: ca.CAFile}, wants: "--tls-cert"},
		"a file that is not there": {listen: "127.0.0.1:9100", flags: portFlags{secretFile: secret + "x"}, wants: "no such file"},
		"an empty secret": {listen: "127.0.0.1:9100", flags: portFlags{secretFile: secretFile(t, "")},
			wants: "there is no secret in it"},
		"a short secret": {listen: "127.0.0.1:9100", flags: portFlags{secretFile: secretFile(t, "short")},
			wants: "openssl rand"},
		"a secret that Envoy reads":        {listen: "127.0.0.1:9100", env: "%ENVIRONMENT(HOME)% and more", wants: "other characters"},
		"insecure beside a secret":         {listen: "0.0.0.0:9100", flags: portFlags{secretFile: secret, insecure: true}, wants: "leave it out"},
		"insecure where nobody else comes": {listen: "127.0.0.1:9100", flags: portFlags{insecure: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(secretVariable, tc.env)
			var log bytes.Buffer
			address, err := envoy.ParseAddress(tc.listen)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tc.flags.open(address, slog.New(slog.NewTextHandler(&log, nil)))
			switch {
			case tc.wants == "" && err != nil:
				t.Errorf("it does not serve: %v", err)
			case tc.wants != "" && (err == nil || !strings.Contains(err.Error(), tc.wants)):
				t.Errorf("error %v, want %q in it", err, tc.wants)
			}
			if !strings.Contains(log.String(), tc.log) || tc.log == "" && log.Len() > 0 {
				t.Errorf("log %q, want %q in it", log.String(), tc.log)
			}
			if tc.env != "" && err != nil && strings.Contains(err.Error(), tc.env) {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}

func TestServeIsRefusedBeyondThisMachine(t *testing.T) {
	path := secretFile(t, "model_list: [{model_name: m, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1/v1'}}]")
	var stdout, stderr bytes.Buffer
	if code := Run(t.Context(), []string{"serve", "--config", path, "--listen", "0.0.0.0:0"}, &stdout, &stderr); code != 1 ||
		!strings.Contains(stderr.String(), "--insecure-listen") {
		t.Errorf("exit %d: %s", code, &stderr)
	}
}

// TestCertificatesAndSecretsAreReadAgain changes the files under a port that
// serves.
func TestCertificatesAndSecretsAreReadAgain(t *testing.T) {
	ca := storetest.NewAuthority(t)
	cert, key := ca.Issue(t, "isthmus", "first.test")
	later, laterKey := ca.Issue(t, "isthmus-later", "second.test")
	secret := secretFile(t, portSecret)
	p, err := portFlags{cert: cert, key: key, secretFile: secret}.open(envoy.Address{Host: "127.0.0.1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	copyFile := func(from, to string) {
		t.Helper()
		if err := os.WriteFile(to, []byte(read(t, from)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	look := func() { p.reloadIfChanged(slog.New(slog.NewTextHandler(&log, nil))) }
	if look(); log.Len() > 0 {
		t.Errorf("nothing has changed: %s", &log)
	}
	copyFile(later, cert)
	if look(); !strings.Contains(log.String(), "cannot be used") || p.tls.Load().name != "first.test" {
		t.Errorf("a certificate whose key has not come yet: name %s, log %s", p.tls.Load().name, &log)
	}
	copyFile(laterKey, key)
	if look(); !strings.Contains(log.String(), "is in force") || p.tls.Load().name != "second.test" {
		t.Errorf("a new certificate: name %s, log %s", p.tls.Load().name, &log)
	}
	if err := os.WriteFile(secret, []byte("too-short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if look(); strings.Contains(log.String(), "too-short") {
		t.Errorf("the secret is in the log: %s", &log)
	}
	if said, _ := p.secrets.GetRequestMetadata(t.Context()); said["x-isthmus-secret"] != portSecret {
		t.Error("a secret that cannot be used took the place of the one before")
	}
	for range 3 {
		look()
	}
	if n := strings.Count(log.String(), "shorter than"); n != 1 {
		t.Errorf("one trouble is in the log %d times: %s", n, &log)
	}
	if err := os.WriteFile(secret, []byte(portSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if look(); !strings.Contains(log.String(), "again those in force") {
		t.Errorf("the log does not say that the trouble is over: %s", &log)
	}
}

func TestConnectionsThatAreTooManyAreClosed(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConnections(inner).(*limitedListener)
	t.Cleanup(func() { _ = l.Close() })
	l.open.Store(maxConnections - 1)
	accepted := make(chan net.Conn, 3)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	first := <-accepted
	refused := dial()
	_ = refused.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := refused.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("one too many: %v, want the connection closed", err)
	}
	_ = first.Close()
	_ = first.Close() // counts once
	dial()
	<-accepted
	if n := l.open.Load(); n != maxConnections {
		t.Errorf("%d connections are counted as open, want %d", n, maxConnections)
	}
}

func TestOnlyASocketThatNobodyServesIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) envoy.Address { return envoy.Address{Path: filepath.Join(dir, name)} }
	if err := os.WriteFile(at("config.yaml").Path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at("folder").Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("config.yaml", at("link").Path); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.yaml", "folder", "link"} {
		if l, err := bind(at(name)); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("at the %s: %v, %v", name, l, err)
		}
	}
	if text, err := os.ReadFile(at("link").Path); err != nil || string(text) != "precious" {
		t.Errorf("the file is now %q, %v", text, err)
	}
	first, err := bind(at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := bind(at("socket")); err == nil || !strings.Contains(err.Error(), "another process serves there") {
		t.Errorf("where somebody serves: %v, %v", l, err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as of a process that was killed
	_ = first.Close()
	again, err := bind(at("socket"))
	if err != nil {
		t.Fatalf("what a killed process left is not taken over: %v", err)
	}
	_ = again.Close()
}
