package gatewaytest

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// Gateway is a running `isthmus run`: a real Envoy and the service. Its methods fail
// T where they cannot do what they say; they are safe for concurrent use.
type Gateway struct {
	T         *testing.T         // the test that started it
	URL       string             // of the clients: http://127.0.0.1:PORT
	Host      string             // the Host that leads to isthmus; "" is that of the URL
	File      string             // path of the model config
	Admin     string             // URL of the admin port
	AccessLog string             // path of Envoy's access log
	Stdout    *asynctest.Text    // what the command has written so far
	Stderr    *asynctest.Text    // its log
	Cancel    context.CancelFunc // what a signal does; see Stop
	exit      chan int
}

// keptLog is how much of the log a test that failed shows, in bytes.
const keptLog = 32 << 10

var adminPattern = regexp.MustCompile(`admin (http://\S+?)\)`)

// findEnvoy looks for the Envoy that isthmus runs by itself, once for the process.
var findEnvoy = sync.OnceValues(func() (process.Binary, error) { return process.Finder{}.Find(context.Background()) })

// EnvoyPath is the path of the Envoy that gateways run unless a test names another.
func EnvoyPath(t testing.TB) string {
	t.Helper()
	b, err := findEnvoy()
	if err != nil {
		testring.Lacks(t, "Envoy ("+err.Error()+")")
	}
	return b.Path
}

// Start runs `isthmus run` on a model config (YAML) until the test ends, with the
// arguments besides, and returns when it serves.
func Start(t *testing.T, config string, args ...string) *Gateway {
	t.Helper()
	dir := t.TempDir()
	port := asynctest.FreePort(t)
	g := &Gateway{T: t, URL: "http://127.0.0.1:" + port, File: filepath.Join(dir, "config.yaml"), AccessLog: filepath.Join(dir, "access.log")}
	// A flag that comes again is the one that counts.
	g.run(config, append([]string{"run", "--config", g.File, "--port", port, "--access-log", g.AccessLog, "--envoy", EnvoyPath(t)}, args...))
	g.awaitOutput("the gateway is ready", "is ready")
	g.Admin = adminPattern.FindStringSubmatch(g.Stdout.String())[1]
	return g
}

// run writes the config and runs a command on it until the test ends, which logs what
// it wrote if the test has failed.
func (g *Gateway) run(config string, args []string) {
	g.T.Helper()
	if err := os.WriteFile(g.File, []byte(config), 0o600); err != nil {
		g.T.Fatal(err)
	}
	var ctx context.Context
	ctx, g.Cancel = context.WithCancel(g.T.Context())
	g.Stdout, g.Stderr, g.exit = &asynctest.Text{}, &asynctest.Text{}, make(chan int, 1)
	go func() { g.exit <- cli.Run(ctx, args, g.Stdout, g.Stderr) }()
	g.T.Cleanup(func() {
		g.Stop()
		if g.T.Failed() {
			log := g.Stderr.String()
			g.T.Logf("stdout:\n%s\nthe end of stderr:\n%s", g.Stdout, log[max(len(log)-keptLog, 0):])
		}
	})
}

// awaitOutput waits until standard output has a text.
func (g *Gateway) awaitOutput(what, text string) {
	g.T.Helper()
	asynctest.Await(g.T, what, func() bool {
		select {
		case code := <-g.exit:
			g.exit <- code
			g.T.Fatalf("isthmus ended with %d before it served:\n%s", code, g.Stderr)
		default:
		}
		return strings.Contains(g.Stdout.String(), text)
	})
}

// Stop ends the gateway as a signal does and returns its exit code; it is idempotent.
func (g *Gateway) Stop() int {
	g.Cancel()
	select {
	case code := <-g.exit:
		g.exit <- code
		return code
	case <-time.After(90 * time.Second): // it drains for 30 s
		g.T.Fatal("isthmus did not end within 90 s of its signal")
		return -1
	}
}
