package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say how an Envoy is run. The zero value is usable.
type Options struct {
	Log         *slog.Logger // gets Envoy's own log, line by line; nil drops it
	Concurrency int          // worker threads; 0 = as many as cores
	AdminSocket string       // where the configuration puts the admin interface; needed for Ready
}

// Process is a running Envoy. It ends with this program, even one that is
// killed: on Linux the kernel sees to it.
type Process struct {
	cmd    *exec.Cmd
	dir    string
	admin  *http.Client
	done   chan struct{}
	err    error // after done
	words  *lastWords
	socket string
}

// Start runs an Envoy with this configuration, which is kept in a folder that
// only this user can read: it holds no keys, but it names the providers.
func Start(b Binary, config []byte, o Options) (*Process, error) {
	dir, err := os.MkdirTemp("", "isthmus-envoy-")
	if err != nil {
		return nil, fmt.Errorf("start Envoy: %w", err)
	}
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start Envoy: %w", err)
	}
	p := &Process{dir: dir, done: make(chan struct{}), words: &lastWords{log: o.Log}, socket: o.AdminSocket, admin: adminClient(o.AdminSocket)}
	// The base id keeps several Envoys of one machine apart.
	args := []string{"--config-path", file, "--base-id", strconv.Itoa(1 + rand.IntN(1<<30)), "--log-level", "warning",
		"--log-format", logFormat, "--disable-hot-restart"}
	if o.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(o.Concurrency))
	}
	p.cmd = exec.Command(b.Path, args...)
	p.cmd.SysProcAttr, p.cmd.Env = childAttr(), environment(os.Environ())
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start Envoy: %w", err)
	}
	started := make(chan error)
	go p.run(pipe, started)
	if err := <-started; err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start Envoy: %w", err)
	}
	return p, nil
}

// logFormat is level and text of a line, as lastWords reads them.
const logFormat = "%l %v"

// run lives as long as the child. It keeps its thread, for the kernel ends the
// child when the thread that started it goes away.
func (p *Process) run(stderr io.Reader, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.words.read(stderr)
	p.err = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
	close(p.done)
}

// Done is closed when the Envoy has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says why a Process that is Done has ended, with Envoy's last words.
func (p *Process) Err() error {
	if words := p.words.String(); words != "" {
		//lint:ignore ST1005 Envoy is a name
		return fmt.Errorf("Envoy ended (%w): %s", exitError(p.err), words)
	}
	//lint:ignore ST1005 Envoy is a name
	return fmt.Errorf("Envoy ended: %w", exitError(p.err))
}

func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ready waits until Envoy takes requests. It fails as soon as the process ends.
func (p *Process) Ready(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.ask(ctx, http.MethodGet, "/ready") == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return p.Err()
		case <-ctx.Done():
			//lint:ignore ST1005 Envoy is a name
			return fmt.Errorf("Envoy did not become ready: %w %s", context.Cause(ctx), p.words)
		}
	}
}

// Leave makes Envoy tell its clients to leave: with each answer their connection ends.
// Its listeners stay open, and requests go on being served.
func (p *Process) Leave(ctx context.Context) error {
	return p.ask(ctx, http.MethodPost, "/healthcheck/fail")
}

// Refuse makes Envoy close its listeners: running requests go on, new
// connections find nobody.
func (p *Process) Refuse(ctx context.Context) error {
	return p.ask(ctx, http.MethodPost, "/drain_listeners")
}

// ask makes one request to the admin interface and wants a 200.
func (p *Process) ask(ctx context.Context, method, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return err
	}
	resp, err := p.admin.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("envoy admin %s: status %d", path, resp.StatusCode)
	}
	return nil
}

func adminClient(socket string) *http.Client {
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
	}}
}

// Stop ends Envoy: politely, and by force when ctx ends first.
func (p *Process) Stop(ctx context.Context) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	p.admin.CloseIdleConnections()
}

// lastWords keeps the end of a log for the error that may follow.
type lastWords struct {
	log   *slog.Logger
	mu    sync.Mutex
	lines []string
}

// maxLastWords is how many lines are kept.
const maxLastWords = 20

func (w *lastWords) read(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		w.add(scanner.Text())
	}
	_, _ = io.Copy(io.Discard, r) // a line too long to keep must not block Envoy
}

func (w *lastWords) add(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
	if len(w.lines) > maxLastWords {
		w.lines = w.lines[1:]
	}
	if w.log == nil {
		return
	}
	level, text, _ := strings.Cut(line, " ")
	switch level {
	case "error", "critical":
		w.log.Error("envoy", "says", text)
	case "warning":
		w.log.Debug("envoy", "says", text)
	default:
		w.log.Debug("envoy", "says", line)
	}
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []string
	for _, l := range w.lines {
		if strings.HasPrefix(l, "error ") || strings.HasPrefix(l, "critical ") {
			errs = append(errs, l)
		}
	}
	if len(errs) == 0 {
		errs = w.lines[max(0, len(w.lines)-3):]
	}
	return strings.Join(errs, "; ")
}
