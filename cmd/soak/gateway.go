package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// gateway is what is loaded: an isthmus and its Envoy.
type gateway struct {
	url     string // of the clients
	command *exec.Cmd
	ended   chan struct{} // closed when isthmus has ended
	log     *syncBuffer
	own     *process.Process // an Envoy that this program runs; nil: isthmus runs it
	config  string           // file of the model config
}

// startTime bounds the start of both processes.
const startTime = 60 * time.Second

// start starts isthmus with this model config in front of an Envoy, which
// --attach says how it gets its configuration.
func start(ctx context.Context, o options, config string) (*gateway, error) {
	binary, err := process.Finder{Path: o.envoy, Version: o.envoyVersion, Fetch: o.envoyVersion != "",
		Notify: func(s string) { fmt.Fprintln(os.Stderr, s) }}.Find(ctx)
	if err != nil {
		return nil, err
	}
	g := &gateway{ended: make(chan struct{}), log: &syncBuffer{}, config: filepath.Join(o.dir, "config.yaml")}
	if err := os.WriteFile(g.config, []byte(config), 0o600); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	g.url = "http://127.0.0.1:" + strconv.Itoa(port)
	fmt.Printf("Envoy %s, attached by %s, %d clients, for %s\n", binary.Version, o.attach, o.clients, o.duration)
	if o.attach == "run" {
		return g, g.run(ctx, o, "is ready at", "run", "--config", g.config, "--port", strconv.Itoa(port), "--envoy", binary.Path)
	}
	listen, err := freePort()
	if err != nil {
		return nil, err
	}
	at := "127.0.0.1:" + strconv.Itoa(listen)
	if err := g.run(ctx, o, "serves Envoy at", "serve", "--config", g.config, "--listen", at, "--admin", ""); err != nil {
		return g, err
	}
	return g, g.attach(ctx, o, binary, at, port)
}

// run starts a command of isthmus and waits for the words that say it is there.
func (g *gateway) run(ctx context.Context, o options, words string, args ...string) error {
	g.command = exec.Command(o.isthmus, args...)
	g.command.Stdout, g.command.Stderr = g.log, g.log
	if err := g.command.Start(); err != nil {
		return err
	}
	go func() {
		_ = g.command.Wait()
		close(g.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(g.log.String(), words) {
		select {
		case <-tick.C:
		case <-g.ended:
			return fmt.Errorf("isthmus ended before it was ready: %s", g.log)
		case <-ctx.Done():
			return fmt.Errorf("isthmus was not ready in time: %s", g.log)
		}
	}
	return nil
}

// stop ends both processes.
func (g *gateway) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if g.own != nil {
		g.own.Stop(ctx)
	}
	if g.command == nil || g.command.Process == nil {
		return
	}
	_ = g.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(45 * time.Second):
		_ = g.command.Process.Kill()
		<-g.ended
	}
}

// alive says why one of the two has ended.
func (g *gateway) alive() error {
	select {
	case <-g.ended:
		return fmt.Errorf("isthmus ended: …%s", g.log.tail(2000))
	default:
	}
	if g.own == nil {
		return nil
	}
	select {
	case <-g.own.Done():
		return g.own.Err()
	default:
		return nil
	}
}

// servicePid is isthmus's process.
func (g *gateway) servicePid() int { return g.command.Process.Pid }

// envoyPid is Envoy's process; 0 while there is none.
func (g *gateway) envoyPid() int {
	if g.own != nil {
		return g.own.Pid()
	}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", g.servicePid()))
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // that thread has ended
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return n
		}
	}
	return 0
}

// restarted matches what isthmus logs when an Envoy has died.
var restarted = regexp.MustCompile(`starting Envoy again[^\n]*`)

// deaths are the lines about Envoys that died.
func (g *gateway) deaths() []string { return restarted.FindAllString(g.log.String(), -1) }

// reload changes the model config while everything runs.
func (g *gateway) reload(config string) error {
	if err := os.WriteFile(g.config, []byte(config), 0o600); err != nil {
		return err
	}
	return g.command.Process.Signal(syscall.SIGHUP)
}

// freePort is a port that a server may have a moment later.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// syncBuffer keeps what a process writes, the latest megabyte of it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*syncBuffer)(nil)

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.Len() > 4<<20 {
		s.b.Next(s.b.Len() - 1<<20)
	}
	return s.b.Write(p)
}

// tail is the end of what was written.
func (s *syncBuffer) tail(n int) string {
	text := s.String()
	return text[max(0, len(text)-n):]
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
