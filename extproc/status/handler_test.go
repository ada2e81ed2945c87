package status

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, whose time is that of a synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// site is the handler behind a server in memory.
type site struct {
	t        *testing.T
	pipes    pipes
	history  *History
	draining atomic.Bool
	locked   atomic.Bool
}

func newSite(t *testing.T, streams int) *site {
	s := &site{t: t, pipes: pipes{make(chan net.Conn), make(chan struct{})}, history: NewHistory(time.Now)}
	h := NewHandler(Options{
		Board:    NewBoard(func() Snapshot { return Snapshot{} }, s.history, time.Now),
		Draining: s.draining.Load, Streams: streams,
		Refuse: func(w http.ResponseWriter, _ *http.Request) bool {
			if s.locked.Load() && w != nil {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return s.locked.Load()
		},
	})
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(s.pipes) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// open asks for the events and returns the answer, whose body is read by hand.
func (s *site) open(ctx context.Context) (*http.Response, *bufio.Reader) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn,
		error) {
		here, there := net.Pipe()
		s.pipes.conns <- there
		return here, nil
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/status/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp, bufio.NewReaderSize(resp.Body, 16)
}

// event reads up to the end of an event that is no comment.
func event(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String()
		}
		if line == "\n" {
			if !strings.HasPrefix(b.String(), ":") {
				return b.String()
			}
			b.Reset()
		}
	}
}

func TestAStreamTellsEachChangeWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		_, r := s.open(t.Context())
		if first := event(r); !strings.Contains(first, `"full":true`) {
			t.Errorf("first event: %s", first)
		}
		s.history.Add(Request{ID: "one"})
		began := time.Now()
		if next := event(r); !strings.Contains(next, `"id":"one"`) || strings.Contains(next, `"full":true`) {
			t.Errorf("next event: %s", next)
		}
		if took := time.Since(began); took > Interval {
			t.Errorf("it took %v", took)
		}
	})
}

func TestASlowReaderSkipsAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		_, slow := s.open(t.Context())
		_, quick := s.open(t.Context())
		event(slow)
		event(quick)
		for range 8 {
			s.history.Add(Request{ID: "x"})
			began := time.Now()
			event(quick)
			if took := time.Since(began); took > Interval {
				t.Errorf("the quick reader waited %v", took)
			}
		}
		event(slow) // what its writer was stuck with
		if got := event(slow); strings.Count(got, `"id":"x"`) < 6 {
			t.Errorf("the slow reader gets: %s", got)
		}
	})
}

func TestAReaderWhoTakesNothingLosesItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		_, stuck := s.open(t.Context())
		event(stuck)
		s.history.Add(Request{ID: strings.Repeat("x", 100)})
		if resp, _ := s.open(t.Context()); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a stream above the bound: %s %v", resp.Status, resp.Header)
		}
		time.Sleep(defaultWriteTimeout + 2*Interval)
		synctest.Wait()
		resp, r := s.open(t.Context())
		if resp.StatusCode != http.StatusOK {
			t.Errorf("the place is not free again: %s", resp.Status)
		}
		event(r)
	})
}

func TestAReaderWhoLeavesFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		ctx, leave := context.WithCancel(t.Context())
		_, r := s.open(ctx)
		event(r)
		leave()
		synctest.Wait()
		if resp, _ := s.open(t.Context()); resp.StatusCode != http.StatusOK {
			t.Errorf("%s", resp.Status)
		}
	})
}

func TestStreamsEndWithTheDrainAndWithTheRightToThem(t *testing.T) {
	for name, end := range map[string]func(*site){
		"the gateway drains":  func(s *site) { s.draining.Store(true) },
		"the key has changed": func(s *site) { s.locked.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 0)
				_, r := s.open(t.Context())
				event(r)
				end(s)
				rest, err := io.ReadAll(r)
				if err != nil {
					t.Error(err)
				}
				if ended := strings.HasSuffix(string(rest), "event: end\ndata: {}\n\n"); ended != s.draining.Load() {
					t.Errorf("the stream ends with %q", rest)
				}
			})
		})
	}
}

func TestDataIsForThoseWhoMaySeeItAndThePageForAll(t *testing.T) {
	h := NewHandler(Options{
		Board: NewBoard(func() Snapshot { return Snapshot{} }, NewHistory(time.Now), time.Now), Draining: func() bool { return false },
		Refuse: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusUnauthorized); return true },
	})
	for path, want := range map[string]int{"/": 200, "/status": 200, "/status/snapshot": 401, "/status/events": 401, "/status/page.js": 404} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestThePageIsOneDocumentUnderAStrictPolicy(t *testing.T) {
	p := newPage()
	text := string(p.text)
	for what, pattern := range map[string]string{
		"an inline handler":  `\son[a-z]+\s*=\s*["']`,
		"an inline style":    `<[a-z][^>]*\sstyle=`,
		"an outside asset":   `(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//`,
		"a place not filled": `\{\{`,
		"markup from text":   `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(`,
	} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("%s: %s", what, found)
		}
	}
	for tag, directive := range map[string]string{"script": "script-src", "style": "style-src"} {
		parts := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(text, -1)
		if len(parts) != 1 || len(parts[0][1]) < 1000 {
			t.Fatalf("%d elements <%s>", len(parts), tag)
		}
		if !strings.Contains(p.policy, directive+" "+digest(parts[0][1])+";") {
			t.Errorf("the policy does not name the %s: %s", tag, p.policy)
		}
	}
	for _, name := range scripts {
		if read(name) == "" {
			t.Errorf("%s is not there", name)
		}
	}
	if strings.Contains(p.policy, "unsafe") || !strings.HasPrefix(p.policy, "default-src 'none';") {
		t.Errorf("policy: %s", p.policy)
	}
}
