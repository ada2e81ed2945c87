package attach

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// services are replicas of the service, each a process of its own, so that a test may
// stop and kill them.
type services struct {
	t         *testing.T
	file      string // of the config
	addresses []string
	running   []*exec.Cmd
}

func startServices(t *testing.T, n int, config string) *services {
	t.Helper()
	s := &services{t: t, file: filepath.Join(t.TempDir(), "config.yaml"), running: make([]*exec.Cmd, n)}
	if err := os.WriteFile(s.file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for range n {
		s.addresses = append(s.addresses, "127.0.0.1:"+asynctest.FreePort(t))
	}
	for i := range n {
		s.start(i)
	}
	return s
}

// start starts replica i, anew if need be.
func (s *services) start(i int) {
	s.t.Helper()
	out := &asynctest.Text{}
	s.running[i] = gatewaytest.StartProcess(s.t, out, "serve", "--config", s.file, "--listen", s.addresses[i], "--advertise", s.addresses[i],
		"--admin", "127.0.0.1:0", "--peers", strings.Join(s.addresses, ","), "--drain-grace", "0s")
	asynctest.Await(s.t, "the service listens", func() bool { return strings.Contains(out.String(), "serves Envoy at") })
}

func (s *services) signal(i int, what os.Signal) {
	s.t.Helper()
	if err := s.running[i].Process.Signal(what); err != nil {
		s.t.Fatal(err)
	}
}

// front is a fresh Envoy in front of the services, and its URL.
func (s *services) front(release string) (*process.Process, string) {
	s.t.Helper()
	port, dir := asynctest.FreePort(s.t), s.t.TempDir()
	socket := filepath.Join(dir, "a")
	var config, problems strings.Builder
	if code := cli.Run(s.t.Context(), []string{"envoy", "--config", s.file, "--envoy-version", release, "--listen", "127.0.0.1:" + port,
		"--admin", "unix://" + socket, "--processor", strings.Join(s.addresses, ","), "--access-log", ""}, &config, &problems); code != 0 {
		s.t.Fatalf("isthmus envoy: %s", &problems)
	}
	p, err := process.Start(envoytest.Envoy(s.t, release), []byte(config.String()), process.Options{AdminSocket: socket, Concurrency: 2})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := p.Ready(ctx); err != nil {
		s.t.Fatal(err)
	}
	return p, "http://127.0.0.1:" + port
}

// largeStreams is a provider whose streams are as long as the last user message says, in
// KiB, and come as fast as they are taken. "opening" begins with comments, "error" is an
// error as first event.
func largeStreams(w http.ResponseWriter, _ *http.Request, body string) {
	w.Header().Set("Content-Type", "text/event-stream")
	var kind string
	var kib int
	_, rest, _ := strings.Cut(body, `"content":"`)
	_, _ = fmt.Sscanf(rest, "%d %s", &kib, &kind)
	kind = strings.TrimRight(kind, `"}]`)
	piece := "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + strings.Repeat("a", 8<<10) + "\"}}]}\n\n"
	switch kind {
	case "error":
		_, _ = io.WriteString(w, "data: {\"error\":{\"message\":\"no room\",\"type\":\"server_error\"}}\n\n")
	case "opening":
		_, _ = io.WriteString(w, strings.Repeat(": a comment before the first content\n\n", 8<<10))
	}
	for range kib / 8 {
		_, _ = io.WriteString(w, piece)
	}
	_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
}

// burst asks for n streams of kib KiB at once and counts what became of them: whole, an
// error that says so, cut.
func burst(t *testing.T, url string, n, kib int) map[string]int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 90 * time.Second}
	counts := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			kind := []string{"content", "opening", "content", "error"}[i%4]
			got := outcome(client, url, fmt.Sprintf(`{"model":"m","stream":true,"messages":[{"role":"user","content":"%d %s"}]}`, kib, kind))
			mu.Lock()
			defer mu.Unlock()
			counts[got]++
		})
	}
	all.Wait()
	return counts
}

func outcome(client *http.Client, url, body string) string {
	resp, err := client.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		return "no answer"
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode != 200:
		return fmt.Sprint(resp.StatusCode)
	case err != nil:
		return "cut"
	case strings.HasSuffix(string(text), "data: [DONE]\n\n"):
		return "whole"
	}
	return "an error event"
}

// TestSoakEnvoyOutlivesLargeStreams restarts an Envoy many times, under bursts of large
// streams that may fail over, before two and three replicas of which one is stopped,
// killed or drained meanwhile: no Envoy exits.
func TestSoakEnvoyOutlivesLargeStreams(t *testing.T) {
	testring.Soak(t, "restarts Envoy under load for minutes")
	provider := gatewaytest.NewProvider(t, largeStreams)
	config := "model_list:\n" + gatewaytest.Entry("m", provider.Base(), ", order: 1") + gatewaytest.Entry("m", provider.Base(), ", order: 2") +
		"router_settings: {num_retries: 1, cooldown_time: 0, retry_budget_percent: 1000}\n"
	for _, release := range envoytest.Releases() {
		if strings.HasPrefix(release, "1.36.") {
			continue
		}
		t.Run(release, func(t *testing.T) {
			for i, fault := range []string{"none", "stopped for a while", "killed", "drained", "stopped for long"} {
				t.Run(fault, func(t *testing.T) {
					s, rounds := startServices(t, 2+i%2, config), 6
					if fault == "stopped for long" {
						rounds = 2
					}
					for range rounds {
						s.outlives(release, fault)
					}
				})
			}
		})
	}
}

// outlives is one burst through a fresh Envoy.
func (s *services) outlives(release, fault string) {
	s.t.Helper()
	p, url := s.front(release)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Stop(ctx)
	}()
	n, kib := 24, 2<<10
	if fault == "stopped for long" {
		n, kib = 4, 48<<10
	}
	counted := make(chan map[string]int, 1)
	go func() { counted <- burst(s.t, url, n, kib) }()
	s.t.Logf("%s: %v", fault, s.meanwhile(fault, counted))
	select {
	case <-p.Done():
		s.t.Errorf("Envoy %s exited: %v", release, p.Err())
	default:
	}
	question := `{"model":"m","stream":true,"messages":[{"role":"user","content":"8 content"}]}`
	if got := outcome(http.DefaultClient, url, question); got != "whole" {
		s.t.Errorf("afterwards a stream is %s", got)
	}
}

// meanwhile does to replica 0 what the fault says, while a burst runs, and returns what
// became of that.
func (s *services) meanwhile(fault string, counted <-chan map[string]int) map[string]int {
	s.t.Helper()
	time.Sleep(50 * time.Millisecond) // the burst has begun; when exactly is chance
	switch fault {
	case "stopped for a while", "stopped for long":
		s.signal(0, syscall.SIGSTOP)
		if fault == "stopped for long" {
			counts := <-counted
			s.signal(0, syscall.SIGCONT)
			return counts
		}
		time.Sleep(time.Second)
		s.signal(0, syscall.SIGCONT)
	case "killed", "drained":
		s.signal(0, map[string]os.Signal{"killed": syscall.SIGKILL, "drained": syscall.SIGTERM}[fault])
		_ = s.running[0].Wait()
		s.start(0)
	}
	return <-counted
}
