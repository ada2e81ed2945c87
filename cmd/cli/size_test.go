package cli

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestBigBodiesArriveWhole(t *testing.T) {
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		sum := sha256.Sum256([]byte(body))
		fmt.Fprintf(w, `{"id":"x","length":%d,"sum":"%x"}`, len(body), sum)
	})
	s := startStack(t, "model_list:\n"+entry("m", newProvider(t, failWith(500)).base(), ", order: 1")+entry("m", p.base(), ", order: 2"))
	for _, megabytes := range []int{10, 50} {
		content := strings.Repeat("0123456789abcdef", megabytes<<20/16)
		body := `{"model":"up","messages":[{"role":"user","content":"` + content + `"}]}`
		got := s.post("/v1/chat/completions", strings.Replace(body, `"up"`, `"m"`, 1))
		want := fmt.Sprintf(`{"id":"x","length":%d,"sum":"%x"}`, len(body), sha256.Sum256([]byte(body)))
		if got.status != 200 || got.body != want || got.header.Get("X-Isthmus-Attempts") != "2" {
			t.Errorf("%d MB, at the second attempt: %d %s, want %s", megabytes, got.status, got.body, want)
		}
	}
}

func TestTheMemoryOfABigBodyIsGivenBack(t *testing.T) {
	const megabyte = 1 << 10 // in /proc's kB
	p := newProvider(t, openAI)
	url, pid := startProgram(t, "model_list:\n"+entry("m", p.base(), ""))
	memory := func(field string) (kB int) {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), field+":")
		_, _ = fmt.Sscan(rest, &kB)
		return kB
	}
	before := memory("VmRSS")
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 50<<20) + `"}]}`
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	peak := memory("VmHWM") - before
	t.Logf("50 MB cost %d MB at most", peak/megabyte)
	if peak > 3*50*megabyte {
		t.Errorf("50 MB cost %d MB", peak/megabyte)
	}
	await(t, 60*time.Second, "the memory is given back", func() bool { return memory("VmRSS") < before+40*megabyte })
}

// startProgram runs the program itself: under the race detector this test's own
// binary takes several times the memory.
func startProgram(t *testing.T, config string, args ...string) (url string, pid int) {
	t.Helper()
	path, out, port := filepath.Join(t.TempDir(), "c.yaml"), &output{}, freePort(t)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(build(t), append([]string{"run", "--config", path, "--port", port}, args...)...)
	start(t, cmd, out)
	await(t, 60*time.Second, "isthmus is ready", func() bool { return strings.Contains(out.String(), "is ready") })
	return "http://127.0.0.1:" + port, cmd.Process.Pid
}

// build makes the program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "isthmus")
	if out, err := exec.Command("go", "build", "-o", path, "../isthmus").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func TestABigAnswerArrivesWhole(t *testing.T) {
	answer := `{"id":"x","data":"` + strings.Repeat("0123456789abcdef", 20<<20/16) + `","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	got := s.post("/v1/chat/completions", ask)
	if got.status != 200 || got.err != nil || got.body != answer {
		t.Errorf("status %d, %d bytes of %d, %v", got.status, len(got.body), len(answer), got.err)
	}
	await(t, 20*time.Second, "the usage after 20 MB is counted", func() bool {
		return strings.Contains(s.adminGet("/metrics"), `kind="completion",model_group="m"} 2`)
	})
}

func TestALongStreamLosesNothing(t *testing.T) {
	const chunks = 10_000
	var want strings.Builder
	for i := range chunks {
		fmt.Fprintf(&want, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é%d\"}}]}\n\n", i)
	}
	want.WriteString("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i, text := 0, want.String(); len(text) > 0; i++ {
			n := min(len(text), 40+i%90) // cut anywhere
			_, _ = io.WriteString(w, text[:n])
			text = text[n:]
			flush(w)
		}
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	if got := s.post("/v1/chat/completions", askStream); got.body != want.String() || got.err != nil {
		t.Errorf("%d bytes of %d, %v", len(got.body), want.Len(), got.err)
	}
}

func TestAFirstTokenDoesNotWaitForTheSecond(t *testing.T) {
	release := make(chan struct{})
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"first\"}}]}\n\n")
		flush(w)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	resp, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(askStream))
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, "first") {
		t.Errorf("before the second token: %q, %v", line, err)
	}
	close(release)
	_ = resp.Body.Close()
}

func TestManyStreamsAtOnce(t *testing.T) {
	const clients = 1500
	var gather sync.WaitGroup
	gather.Add(clients)
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
		flush(w)
		gather.Done()
		gather.Wait() // all are open at once, or the test does not end well
		openAI(w, r, body)
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: 3 * time.Minute}
	defer client.CloseIdleConnections()
	results := make(chan string, clients)
	for range clients {
		go func() {
			resp, err := client.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(askStream))
			if err != nil {
				results <- err.Error()
				return
			}
			defer func() { _ = resp.Body.Close() }()
			text, err := io.ReadAll(resp.Body)
			switch {
			case err != nil:
				results <- err.Error()
			case resp.StatusCode != 200 || !strings.HasSuffix(string(text), "data: [DONE]\n\n"):
				results <- strconv.Itoa(resp.StatusCode) + " " + string(text)
			default:
				results <- ""
			}
		}()
	}
	for range clients {
		if problem := <-results; problem != "" {
			t.Fatal(problem)
		}
	}
	s.idle()
}
