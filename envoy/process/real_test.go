package process

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// realEnvoy is the default Envoy, fetched once for all tests of this user.
func realEnvoy(t *testing.T) Binary {
	t.Helper()
	b, err := Finder{Fetch: true}.Find(t.Context())
	if err != nil {
		testring.Lacks(t, "Envoy ("+err.Error()+")")
	}
	if b.Version != DefaultVersion {
		t.Fatalf("found %+v", b)
	}
	return b
}

func admin(socket string) []byte {
	return fmt.Appendf(nil, "admin: {address: {pipe: {path: %q}}}\n", socket)
}

func TestARealEnvoyGetsReadyRefusesAndStops(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	p, err := Start(realEnvoy(t), admin(socket), Options{AdminSocket: socket, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(canceled()) })
	if err := p.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Refuse(soon(t)); err != nil {
		t.Error(err)
	}
	p.Stop(soon(t))
	if err := p.Err(); !strings.Contains(err.Error(), "exit status 0") {
		t.Error(err)
	}
}

func TestARealEnvoySaysWhyItRefusesAConfiguration(t *testing.T) {
	b := realEnvoy(t)
	bad := []byte("static_resources: {listeners: [{nme: x}]}\n")
	p, err := Start(b, bad, Options{AdminSocket: filepath.Join(t.TempDir(), "admin.sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(canceled()) })
	if err := p.Ready(soon(t)); err == nil || !strings.Contains(err.Error(), "nme") {
		t.Errorf("ready: %v", err)
	}
}
