package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// moody is a webhook that misbehaves until it is told not to.
type moody struct {
	*inbox
	server *httptest.Server
	mood   atomic.Value // "500", "floods", "hangs", "slow", "well"
	met    atomic.Bool  // somebody has met the mood
}

func newMoody(t testing.TB, mood string) *moody {
	t.Helper()
	m := &moody{inbox: &inbox{}}
	m.mood.Store(mood)
	m.server = httptest.NewServer(m)
	t.Cleanup(func() {
		m.server.CloseClientConnections()
		m.server.Close()
	})
	return m
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.met.Store(true)
	switch m.mood.Load() {
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
	case "floods":
		w.WriteHeader(http.StatusServiceUnavailable)
		junk := make([]byte, 1<<20)
		for range 200 {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	case "hangs":
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client is gone
		<-r.Context().Done()
	case "slow":
		time.Sleep(50 * time.Millisecond) // what a far webhook takes
		m.inbox.ServeHTTP(w, r)
	default:
		m.inbox.ServeHTTP(w, r)
	}
}

func (m *moody) config(base string) string {
	return "model_list:\n" + entry("m", base, "") + fmt.Sprintf("general_settings: {callbacks: [webhook], webhook_url: %q}\n", m.server.URL)
}

// callIDs counts the records by their requests' ids.
func (b *inbox) callIDs(t testing.TB) map[string]int {
	t.Helper()
	_, records := b.all(t)
	ids := map[string]int{}
	for _, r := range records {
		ids[r.CallID]++
	}
	return ids
}

// TestASinkInTroubleIsNotFelt makes requests while the sink is in trouble, next to
// a gateway without sinks, and lets it recover. The bound is what two busy
// processors need; docs/callbacks.md has the figures of the benchmark.
func TestASinkInTroubleIsNotFelt(t *testing.T) {
	for _, mood := range []string{"500", "floods", "hangs"} {
		t.Run(mood, func(t *testing.T) {
			m, p := newMoody(t, mood), newProvider(t, openAI)
			with, without := startStack(t, m.config(p.base())), startStack(t, "model_list:\n"+entry("m", p.base(), ""))
			sent := map[string]bool{}
			var troubled, free []time.Duration
			for range 200 {
				began := time.Now()
				got := with.post("/v1/chat/completions", ask)
				troubled = append(troubled, time.Since(began))
				sent[got.header.Get("X-Isthmus-Request-Id")] = true
				began = time.Now()
				without.post("/v1/chat/completions", ask)
				free = append(free, time.Since(began))
			}
			slices.Sort(troubled)
			slices.Sort(free)
			if a, b := troubled[100], free[100]; a > 2*b+5*time.Millisecond {
				t.Errorf("a request takes %v, without a sink %v", a, b)
			}
			await(t, 20*time.Second, "the sink has been asked", m.met.Load)
			m.mood.Store("well")
			m.server.CloseClientConnections() // of those that hang
			await(t, 30*time.Second, "all records have come", func() bool { return len(m.callIDs(t)) == len(sent) })
			for id, n := range m.callIDs(t) {
				if n != 1 || !sent[id] {
					t.Errorf("%s came %d times", id, n)
				}
			}
		})
	}
}

// TestASinkThatHangsHoldsBoundedMemory sends several times as much text as a queue
// may hold.
func TestASinkThatHangsHoldsBoundedMemory(t *testing.T) {
	m, p := newMoody(t, "hangs"), newProvider(t, openAI)
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte(m.config(p.base())), 0o600); err != nil {
		t.Fatal(err)
	}
	out, port := &output{}, freePort(t)
	cmd := child(t, out, "ISTHMUS_TEST_MAIN=1", "run", "--config", config, "--port", port, "--concurrency", "1")
	await(t, 60*time.Second, "ready", func() bool { return strings.Contains(out.String(), "is ready") })
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
				bytes = max(bytes, residentMemory(t, cmd.Process.Pid))
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

// residentMemory is what a process holds, in bytes.
func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// TestASignalUnderLoadLosesNoRecord sends SIGTERM while clients ask, blocking and
// streaming: what was answered has its record, once.
func TestASignalUnderLoadLosesNoRecord(t *testing.T) {
	m, p := newMoody(t, "slow"), newProvider(t, openAI)
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte(m.config(p.base())), 0o600); err != nil {
		t.Fatal(err)
	}
	out, port := &output{}, freePort(t)
	cmd := child(t, out, "ISTHMUS_TEST_MAIN=1", "run", "--config", config, "--port", port)
	await(t, 60*time.Second, "ready", func() bool { return strings.Contains(out.String(), "is ready") })
	answered := make(chan string, 1<<16)
	var clients sync.WaitGroup
	for i := range 8 {
		body := []string{ask, askStream}[i%2]
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
	await(t, 30*time.Second, "the load runs", func() bool { return len(answered) > 500 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	if err := cmd.Wait(); err != nil {
		t.Errorf("isthmus ended with %v:\n%s", err, out)
	}
	close(answered)
	got, n := m.callIDs(t), 0
	for id := range answered {
		n++
		if got[id] != 1 {
			t.Errorf("the record of %s came %d times", id, got[id])
		}
	}
	t.Logf("%d answered, %d records", n, len(got))
}
