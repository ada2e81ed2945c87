package gatewaytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// AdminGet is the body of a page of the admin port, whatever its status.
func (g *Gateway) AdminGet(path string) string {
	g.T.Helper()
	resp, err := http.Get(g.Admin + path)
	if err != nil {
		g.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.T.Fatal(err)
	}
	return string(text)
}

// Metric reads one sample of the metrics, `name{label="value"}`; 0 when it is absent.
func (g *Gateway) Metric(name string) float64 {
	g.T.Helper()
	for line := range strings.SplitSeq(g.AdminGet("/metrics"), "\n") {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				g.T.Fatal(err)
			}
			return f
		}
	}
	return 0
}

// Streams is how many gRPC streams Envoy has opened with a filter's name: request,
// retry or failure.
func (g *Gateway) Streams(filter string) int {
	g.T.Helper()
	return int(g.Metric(`isthmus_extproc_streams_total{filter="` + filter + `"}`))
}

var inFlight = regexp.MustCompile(`"in_flight":[1-9]`)

// Idle waits until no attempt is in flight at any deployment.
func (g *Gateway) Idle() {
	g.T.Helper()
	asynctest.Await(g.T, "no attempt is in flight", func() bool { return !inFlight.MatchString(g.AdminGet("/health")) })
}

// Logged are the JSON lines of the log with this message, so far.
func (g *Gateway) Logged(t *testing.T, message string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.SplitSeq(g.Stderr.String(), "\n") {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
			out = append(out, fields)
		}
	}
	return out
}

// RequestLog waits until n requests, all that there were, have their lines, and
// returns these. A line is the last that is written of a request, after its client has
// the answer: the limits are right by then, the sinks have the record, the metrics
// count it.
func (g *Gateway) RequestLog(n int) []map[string]any {
	g.T.Helper()
	asynctest.Await(g.T, fmt.Sprintf("%d requests have their lines", n), func() bool {
		return len(g.Logged(g.T, "request")) == n
	})
	return g.Logged(g.T, "request")
}

// Outcomes of a changed configuration, as the metric has them.
const (
	GoodReload    = "good"
	RefusedReload = "refused"
)

// Write changes a file beside the config, or the config itself (config.yaml), and
// waits until the change has this outcome.
func (g *Gateway) Write(file, text, outcome string) {
	g.T.Helper()
	metric := `isthmus_config_reloads_total{outcome="` + outcome + `"}`
	before := g.Metric(metric)
	if err := os.WriteFile(filepath.Join(filepath.Dir(g.File), file), []byte(text), 0o600); err != nil {
		g.T.Fatal(err)
	}
	asynctest.Await(g.T, "the change is "+outcome, func() bool { return g.Metric(metric) > before })
}

// Reconfigure changes the config and waits until it is in force.
func (g *Gateway) Reconfigure(config string) {
	g.T.Helper()
	g.Write("config.yaml", config, GoodReload)
}
