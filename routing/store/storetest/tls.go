package storetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a self-made CA and the folder of its files.
type Authority struct {
	CAFile string // PEM
	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// NewAuthority makes a CA that nobody trusts who is not told to.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{folder: tb.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(tb)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		tb.Fatal(err)
	}
	a.CAFile = a.write(tb, "ca.crt", "CERTIFICATE", der)
	return a
}

// Issue writes a certificate for this machine by its address and by these names of
// it, and its key, to files.
func (a *Authority) Issue(tb testing.TB, name string, names ...string) (certFile, keyFile string) {
	tb.Helper()
	key := newKey(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return a.write(tb, name+".crt", "CERTIFICATE", der), a.write(tb, name+".key", "PRIVATE KEY", private)
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func (a *Authority) write(tb testing.TB, name, kind string, der []byte) string {
	tb.Helper()
	path := filepath.Join(a.folder, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Config is that of a client which trusts the CA. Of no Authority it is none.
func (a *Authority) Config() *tls.Config {
	if a == nil {
		return nil
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(a.cert)
	return &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
}

// arguments has a redis-server speak TLS alone, to replicas and other nodes too. ask:
// it wants a certificate of its clients.
func (a *Authority) arguments(tb testing.TB, ask bool, names ...string) []string {
	tb.Helper()
	cert, key := a.Issue(tb, "server-"+rand.Text(), names...)
	clients := "no"
	if ask {
		clients = "yes"
	}
	return []string{"--port", "0", "--tls-port", portMark, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", a.CAFile,
		"--tls-auth-clients", clients, "--tls-replication", "yes"}
}

// StartTLS runs a redis-server that speaks TLS alone, until the test ends. Its
// certificate is good for its address and these names. ask: it wants one of its
// clients.
func StartTLS(tb testing.TB, a *Authority, ask bool, names ...string) *Server {
	tb.Helper()
	return start(tb, a.arguments(tb, ask, names...))
}

// StartClusterTLS is StartCluster over TLS. The first node's certificate is good for
// "localhost" too, those of the others for their address alone.
func StartClusterTLS(tb testing.TB, a *Authority) []*Server {
	tb.Helper()
	return startCluster(tb, a.Config(), func(node int) []string {
		var names []string
		if node == 0 {
			names = []string{"localhost"}
		}
		return append(a.arguments(tb, false, names...), "--tls-cluster", "yes")
	})
}

// StartSentinelTLS is StartSentinel over TLS, of a server that speaks TLS. Its
// certificate is good for "localhost" too.
func StartSentinelTLS(tb testing.TB, a *Authority, watched *Server) *Server {
	tb.Helper()
	return startSentinel(tb, watched, a.arguments(tb, false, "localhost"))
}
