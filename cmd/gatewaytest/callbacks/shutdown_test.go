package callbacks

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestASignalUnderLoadLosesNoRecord sends SIGTERM while clients ask, blocking and
// streaming: what was answered has its record, once.
func TestASignalUnderLoadLosesNoRecord(t *testing.T) {
	t.Parallel()
	m, p := gatewaytest.NewFaultyWebhook(t, gatewaytest.Slow), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte(m.Config(p.Base())), 0o600); err != nil {
		t.Fatal(err)
	}
	out, port := &asynctest.Text{}, asynctest.FreePort(t)
	cmd := gatewaytest.StartProcess(t, out, "run", "--config", config, "--port", port)
	asynctest.Await(t, "ready", func() bool { return strings.Contains(out.String(), "is ready") })
	answered := make(chan string, 1<<16)
	var clients sync.WaitGroup
	for i := range 8 {
		body := []string{gatewaytest.Ask, gatewaytest.AskStream}[i%2]
		clients.Go(func() {
			for {
				resp, err := http.Post("http://127.0.0.1:"+port+"/v1/chat/completions", "application/json", strings.NewReader(body))
				if err != nil {
					return // nobody listens any more
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != 200 {
					return
				}
				answered <- resp.Header.Get("X-Isthmus-Request-Id")
			}
		})
	}
	asynctest.Await(t, "the load runs", func() bool { return len(answered) > 500 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	if err := cmd.Wait(); err != nil {
		t.Errorf("isthmus ended with %v:\n%s", err, out)
	}
	close(answered)
	got, n := m.CallIDs(t), 0
	for id := range answered {
		n++
		if got[id] != 1 {
			t.Errorf("the record of %s came %d times", id, got[id])
		}
	}
	t.Logf("%d answered, %d records", n, len(got))
}
