package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// stack is a running `isthmus run`: a real Envoy and the service, in this
// process so that the race detector sees it.
type stack struct {
	t         *testing.T
	url       string // of the clients
	host      string // the Host that leads to isthmus; "" = the URL's
	file      string // of the model config
	admin     string
	accessLog string
	stdout    *output
	stderr    *output
	cancel    context.CancelFunc
	exit      chan int
}

// dispatch runs one command without hooks and returns the exit code.
func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return program{}.dispatch(ctx, args, stdout, stderr)
}

// output is what a gateway writes, which tests read meanwhile.
type output = asynctest.Text

var adminPattern = regexp.MustCompile(`admin (http://\S+?)\)`)

// startStack runs the gateway on a config until the test ends.
func startStack(t *testing.T, config string, args ...string) *stack {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := &stack{
		t: t, url: "http://127.0.0.1:" + port, file: path, accessLog: filepath.Join(dir, "access.log"),
		stdout: &output{}, stderr: &output{}, cancel: cancel, exit: make(chan int, 1),
	}
	all := append([]string{"run", "--config", path, "--port", port, "--access-log", s.accessLog}, args...)
	go func() { s.exit <- dispatch(ctx, all, s.stdout, s.stderr) }()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", s.stdout, s.stderr)
		}
	})
	await(t, 90*time.Second, "the gateway is ready", func() bool {
		select {
		case code := <-s.exit:
			s.exit <- code
			t.Fatalf("isthmus run ended with %d before it was ready:\n%s", code, s.stderr)
		default:
		}
		return strings.Contains(s.stdout.String(), "is ready")
	})
	s.admin = adminPattern.FindStringSubmatch(s.stdout.String())[1]
	return s
}

// stop ends the gateway and returns its exit code; again is no harm.
func (s *stack) stop() int {
	s.cancel()
	select {
	case code := <-s.exit:
		s.exit <- code
		return code
	case <-time.After(45 * time.Second):
		s.t.Fatal("isthmus run did not end within 45 s of its signal")
		return -1
	}
}

// await polls a condition that another goroutine or process brings about.
func await(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	asynctest.AwaitWithin(t, limit, what, condition)
}

// freePort is a port for a server that is started a moment later.
func freePort(t testing.TB) string {
	t.Helper()
	return asynctest.FreePort(t)
}

// post sends a JSON body and returns the whole answer.
func (s *stack) post(path, body string, header ...string) *answer {
	s.t.Helper()
	return s.do(http.MethodPost, path, body, header...)
}

func (s *stack) get(path string, header ...string) *answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, "", header...)
}

// answer is an HTTP answer read to its end.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// do makes a request; header is name, value, name, value …
func (s *stack) do(method, path, body string, header ...string) *answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = s.host
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return &answer{resp.StatusCode, resp.Header, string(text), err}
}

// streams is how many gRPC streams Envoy has opened with a filter's name.
func (s *stack) streams(filter string) int {
	s.t.Helper()
	return int(s.metric(`isthmus_extproc_streams_total{filter="` + filter + `"}`))
}

// metric reads one sample of the admin port's metrics; 0 when it is absent.
func (s *stack) metric(name string) float64 {
	s.t.Helper()
	for _, line := range strings.Split(s.adminGet("/metrics"), "\n") {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return f
		}
	}
	return 0
}

func (s *stack) adminGet(path string) string {
	s.t.Helper()
	resp, err := http.Get(s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// idle waits until no attempt is in flight anywhere.
func (s *stack) idle() {
	s.t.Helper()
	await(s.t, time.Minute, "no attempt is in flight", func() bool {
		return !regexp.MustCompile(`"in_flight":[1-9]`).MatchString(s.adminGet("/health"))
	})
}

// provider is a scripted upstream and what it was asked.
type provider struct {
	*httptest.Server
	mu   sync.Mutex
	seen []call
}

// call is one request a provider got.
type call struct {
	path   string
	header http.Header
	body   string
	host   string
}

// newProvider serves with f; each call is recorded before.
func newProvider(t testing.TB, f func(w http.ResponseWriter, r *http.Request, body string)) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen = append(p.seen, call{r.URL.RequestURI(), r.Header.Clone(), string(body), r.Host})
		p.mu.Unlock()
		f(w, r, string(body))
	}))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

func (p *provider) calls() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]call(nil), p.seen...)
}

// base is the api_base of the provider.
func (p *provider) base() string { return p.URL + "/v1" }

const goodAnswer = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`

// openAI answers like OpenAI, blocking and streaming.
func openAI(w http.ResponseWriter, _ *http.Request, body string) {
	if !strings.Contains(body, `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, goodAnswer)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, text := range []string{"Hel", "lo"} {
		fmt.Fprintf(w, "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":%q},\"finish_reason\":null}]}\n\n", text)
		flush(w)
	}
	fmt.Fprint(w, "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n")
	if strings.Contains(body, `"include_usage":true`) {
		fmt.Fprint(w, "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n")
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// failWith answers with a status and OpenAI's error shape.
func failWith(status int, header ...string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"scripted %d","type":null,"param":null,"code":null}}`, status)
	}
}

// hang answers nothing until the request is over.
func hang(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() }

// refused is the address of nobody: a port that is bound, so that no other test
// gets it, but never listened at.
func refused(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d/v1", name.(*syscall.SockaddrInet4).Port)
}

// entry is a model_list entry of an OpenAI-format deployment.
func entry(model, base, more string) string {
	return fmt.Sprintf("- model_name: %s\n  litellm_params: {model: openai/up, api_key: sk-provider, api_base: %q%s}\n", model, base, more)
}
