package load

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakASinkInTroubleIsNotFelt makes requests while the sink is in trouble, next to
// a gateway without sinks, and lets it recover. The bound is what two busy
// processors need; docs/callbacks.md has the figures of the benchmark.
func TestSoakASinkInTroubleIsNotFelt(t *testing.T) {
	testring.Soak(t, "judges how late answers come")
	for _, fault := range []gatewaytest.Fault{gatewaytest.Answers500, gatewaytest.Floods, gatewaytest.Hangs} {
		t.Run(string(fault), func(t *testing.T) {
			m, p := gatewaytest.NewFaultyWebhook(t, fault), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			with, without := gatewaytest.Start(t, m.Config(p.Base())), gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
			sent := map[string]bool{}
			var troubled, free []time.Duration
			for range 200 {
				began := time.Now()
				got := with.Post("/v1/chat/completions", gatewaytest.Ask)
				troubled = append(troubled, time.Since(began))
				sent[got.Header.Get("X-Isthmus-Request-Id")] = true
				began = time.Now()
				without.Post("/v1/chat/completions", gatewaytest.Ask)
				free = append(free, time.Since(began))
			}
			slices.Sort(troubled)
			slices.Sort(free)
			if a, b := troubled[100], free[100]; a > 2*b+5*time.Millisecond {
				t.Errorf("a request takes %v, without a sink %v", a, b)
			}
			asynctest.Await(t, "the sink has been asked", m.Asked)
			m.Recover()
			asynctest.Await(t, "all records have come", func() bool { return len(m.CallIDs(t)) == len(sent) })
			for id, n := range m.CallIDs(t) {
				if n != 1 || !sent[id] {
					t.Errorf("%s came %d times", id, n)
				}
			}
		})
	}
}

// TestSoakASinkThatHangsHoldsBoundedMemory sends several times as much text as a queue
// may hold.
func TestSoakASinkThatHangsHoldsBoundedMemory(t *testing.T) {
	testring.Soak(t, "judges memory over a long load")
	m, p := gatewaytest.NewFaultyWebhook(t, gatewaytest.Hangs), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte(m.Config(p.Base())), 0o600); err != nil {
		t.Fatal(err)
	}
	out, port := &asynctest.Text{}, asynctest.FreePort(t)
	cmd := gatewaytest.StartProcess(t, out, "run", "--config", config, "--port", port, "--concurrency", "1")
	asynctest.Await(t, "ready", func() bool { return strings.Contains(out.String(), "is ready") })
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("palavra ", 25<<10) + `"}]}` // 200 KiB
	// most is what the process holds at most while it gets so many hundred requests:
	// one moment says more of the collector than of the program.
	most := func(hundreds int) (bytes int64) {
		for n := range 100 * hundreds {
			resp, err := http.Post("http://127.0.0.1:"+port+"/v1/chat/completions", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if n%20 == 19 {
				bytes = max(bytes, gatewaytest.ResidentMemory(t, cmd.Process.Pid))
			}
		}
		return bytes
	}
	full := most(10)                          // 195 MiB: three times what the queue of 64 MiB holds
	if more := most(15); more > full+full/3 { // 293 MiB more
		t.Errorf("memory goes on growing: %d MiB, then %d MiB", full>>20, more>>20)
	} else {
		t.Logf("%d MiB, then %d MiB", full>>20, more>>20)
	}
	if err := cmd.Process.Kill(); err != nil { // it would wait for the sink
		t.Fatal(err)
	}
}
