package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// The outcomes of a changed configuration, as the metric has them.
const (
	goodReload    = "good"
	refusedReload = "refused"
)

// write changes a file beside the config, or the config itself, and waits until
// that was taken up, or refused.
func (s *stack) write(file, text, outcome string) {
	s.t.Helper()
	metric := `isthmus_config_reloads_total{outcome="` + outcome + `"}`
	before := s.metric(metric)
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.file), file), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, time.Minute, "the change is "+outcome, func() bool { return s.metric(metric) > before })
}

func (s *stack) reconfigure(config string) {
	s.t.Helper()
	s.write("config.yaml", config, goodReload)
}

// withKey is an entry with a key of its own.
func withKey(model string, p *provider, key string) string {
	return fmt.Sprintf("- {model_name: %s, litellm_params: {model: openai/up, api_key: %s, api_base: %q}}\n", model, key, p.base())
}

// keys are those that a provider was asked with.
func (p *provider) keys() map[string]int {
	out := map[string]int{}
	for _, c := range p.calls() {
		out[strings.TrimPrefix(c.header.Get("Authorization"), "Bearer ")]++
	}
	return out
}

// TestAChangedConfigIsTakenUpUnderLoadWithoutLosingARequest: deployments come, go
// and move while clients ask without a pause, and one reads a stream all the time.
func TestAChangedConfigIsTakenUpUnderLoadWithoutLosingARequest(t *testing.T) {
	for _, release := range []string{"1.36.4", "1.37.0", "1.40.0"} {
		t.Run(release, func(t *testing.T) {
			first, second := newProvider(t, openAI), newProvider(t, openAI)
			long := newGate(t)
			s := startStack(t, "model_list:\n"+withKey("m", first, "key-one")+withKey("long", long.provider, "key-long"), "--envoy", envoytest.Envoy(t, release).Path)
			stream := s.openStream(named("long", askStream))
			await(t, 20*time.Second, "the stream runs", func() bool { return len(long.calls()) == 1 })
			asked, stop := s.askOn(t, 4)
			for _, models := range []string{
				withKey("m", second, "key-two"),
				withKey("m", first, "key-one") + withKey("m", second, "key-two"),
				withKey("m", first, "key-three") + "- {model_name: extra, litellm_params: {model: openai/up, api_base: \"http://127.0.0.1:1/v1\"}}\n",
			} {
				n := asked.Load()
				s.reconfigure("model_list:\n" + models)
				await(t, 20*time.Second, "some ask under the new configuration", func() bool { return asked.Load() > n+50 })
			}
			stop()
			long.pass(t, 1)
			if rest, err := io.ReadAll(stream); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
				t.Errorf("the stream that ran all the time ended with %v: %s", err, rest)
			}
			if one, two := first.keys(), second.keys(); one["key-one"] == 0 || one["key-three"] == 0 || len(one) != 2 || two["key-two"] == 0 || len(two) != 1 {
				t.Errorf("the first provider was asked with %v, the second with %v", one, two)
			}
			await(t, 20*time.Second, "Envoy has no cluster that nobody uses", func() bool {
				clusters := s.envoyAdmin("/clusters")
				return !strings.Contains(clusters, "deployment/long") && strings.Contains(clusters, "deployment/extra")
			})
			if got := s.post("/v1/chat/completions", named("long", ask)); got.status != 404 {
				t.Errorf("a model that is gone: %d %s", got.status, got.body)
			}
			s.idle()
		})
	}
}

// openStream begins a request and returns its answer's body.
func (s *stack) openStream(body string) io.Reader {
	r, w := io.Pipe()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	s.t.Cleanup(cancel)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			_ = w.CloseWithError(err)
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			_ = w.CloseWithError(err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(w, resp.Body)
		_ = w.CloseWithError(err)
	}()
	return bufio.NewReader(r)
}

// askOn asks for m with so many clients until stop is called. Every answer must be
// good.
func (s *stack) askOn(t *testing.T, clients int) (asked *atomic.Int64, stop func()) {
	asked = &atomic.Int64{}
	var over atomic.Bool
	var wg sync.WaitGroup
	for i := range clients {
		body := []string{ask, askStream}[i%2]
		wg.Go(func() {
			for !over.Load() {
				if got := s.post("/v1/chat/completions", body); got.status != 200 || got.err != nil {
					t.Errorf("%d %v %s", got.status, got.err, got.body)
				}
				asked.Add(1)
			}
		})
	}
	return asked, func() { over.Store(true); wg.Wait() }
}

// envoyAdmin asks the Envoy of this stack; there may be several in this process,
// so that it is found by its port.
func (s *stack) envoyAdmin(path string) string {
	s.t.Helper()
	port := s.url[strings.LastIndex(s.url, ":"):]
	sockets, err := filepath.Glob(filepath.Join(os.TempDir(), "isthmus-*", "envoy.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, socket := range sockets {
		if strings.Contains(overSocket(s.t, socket, "/listeners"), port) {
			return overSocket(s.t, socket, path)
		}
	}
	s.t.Fatal("no Envoy has this port")
	return ""
}

// overSocket asks an Envoy's admin interface; "" when nobody answers there.
func overSocket(t *testing.T, socket, path string) string {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("http://envoy" + path)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil { // an Envoy of another test, which ends
		return ""
	}
	return string(text)
}

// TestWhatStaysKeepsWhatIsKnownOfIt over a change: used limits, running requests,
// the queue, cooldowns and the cache.
func TestWhatStaysKeepsWhatIsKnownOfIt(t *testing.T) {
	limited, broken, good := newProvider(t, openAI), newProvider(t, failWith(500)), newProvider(t, openAI)
	gate := newGate(t)
	config := "model_list:\n" + entry("limited", limited.base(), ", rpm: 3") +
		entry("cools", broken.base(), ", order: 1, allowed_fails: 1, cooldown_time: 300") + entry("cools", good.base(), ", order: 2") +
		entry("slot", gate.base(), ", max_parallel_requests: 1") + entry("kept", good.base(), "") +
		"router_settings: {num_retries: 1}\ngeneral_settings: {cache: true, enable_request_queue: true, queue_timeout: 120}\n"
	s := startStack(t, config)
	fresh := func(model string, n int) string {
		return named(model, strings.Replace(ask, "hi", fmt.Sprint("number ", n), 1))
	}
	for n := range 2 {
		s.post("/v1/chat/completions", fresh("limited", n))
	}
	if got := s.post("/v1/chat/completions", fresh("cools", 0)).header.Get("X-Isthmus-Attempts"); got != "2" {
		t.Errorf("%s attempts before the cooldown", got)
	}
	await(t, 20*time.Second, "the answer is in the cache", func() bool {
		return s.post("/v1/chat/completions", fresh("kept", 0)).header.Get("X-Isthmus-Cache") == "hit"
	})
	running, waiting := s.openStream(fresh("slot", 0)), s.openStream(fresh("slot", 1))
	await(t, 20*time.Second, "one runs and one waits", func() bool { return len(gate.calls()) == 1 && s.metric("isthmus_queue_length") == 1 })

	s.reconfigure(strings.Replace(config, "model_list:\n", "model_list:\n"+entry("new", good.base(), ""), 1))
	if got := s.post("/v1/chat/completions", fresh("new", 0)); got.status != 200 {
		t.Errorf("the new model: %d %s", got.status, got.body)
	}
	if got := s.post("/v1/chat/completions", fresh("kept", 0)).header.Get("X-Isthmus-Cache"); got != "hit" {
		t.Errorf("the cache says %q", got)
	}
	if got := s.post("/v1/chat/completions", fresh("cools", 1)).header.Get("X-Isthmus-Attempts"); got != "1" {
		t.Errorf("%s attempts: the cooldown is forgotten", got)
	}
	for n, want := range []int{200, 429} { // of three a minute, two were used
		if got := s.post("/v1/chat/completions", fresh("limited", 10+n)); got.status != want {
			t.Errorf("request %d of the minute: %d %s", 3+n, got.status, got.body)
		}
	}
	late := s.openStream(fresh("slot", 2))
	gate.pass(t, 3)
	for _, answer := range []io.Reader{running, waiting, late} {
		if text, err := io.ReadAll(answer); err != nil || !strings.Contains(string(text), `"finish_reason":"stop"`) {
			t.Errorf("a request that ran or waited: %v %s", err, text)
		}
	}
	s.idle()
}

func TestAConfigThatCannotBeUsedChangesNothingAndSaysWhy(t *testing.T) {
	p := newProvider(t, openAI)
	config := "model_list:\n" + entry("m", p.base(), "")
	s := startStack(t, config)
	s.write("config.yaml", config+"router_settings: {num_retries: many}\n", refusedReload)
	await(t, 20*time.Second, "the log names the place", func() bool {
		return strings.Contains(s.stderr.String(), "config.yaml:4: router_settings.num_retries") && strings.Contains(s.stderr.String(), "the one before stays in force")
	})
	if got := s.post("/v1/chat/completions", ask); got.status != 200 {
		t.Errorf("the old configuration: %d %s", got.status, got.body)
	}
	if health := s.adminGet("/health"); s.metric("isthmus_config_current") != 0 || !strings.Contains(health, `"refused_at":"2`) {
		t.Errorf("nobody can see it: %s", health)
	}
	if err := os.Remove(s.file); err != nil {
		t.Fatal(err)
	}
	await(t, 20*time.Second, "a file that is gone is refused", func() bool { return s.metric(`isthmus_config_reloads_total{outcome="refused"}`) == 2 })
	s.reconfigure(config + entry("n", p.base(), ""))
	if got := s.post("/v1/chat/completions", named("n", ask)); got.status != 200 || s.metric("isthmus_config_current") != 1 {
		t.Errorf("the mended configuration: %d %s", got.status, got.body)
	}
}

// TestTheFilesThatAConfigReadsAreLookedAtToo: what it includes, and the .env, one
// that comes later as well.
func TestTheFilesThatAConfigReadsAreLookedAtToo(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+withKey("m", p, "key-first"))
	s.write("config.yaml", "include: [more.yaml]\nmodel_list:\n"+withKey("m", p, "os.environ/RELOADED_KEY")+withKey("other", p, "key-other"), refusedReload)
	s.write("more.yaml", "model_list:\n"+withKey("more", p, "key-more"), goodReload)
	if got := s.post("/v1/chat/completions", named("more", ask)); got.status != 200 {
		t.Errorf("the included model: %d %s", got.status, got.body)
	}
	if got := s.post("/v1/chat/completions", ask); got.status != 503 {
		t.Errorf("the model whose key is not set: %d %s", got.status, got.body)
	}
	s.write(".env", "RELOADED_KEY=key-second\n", goodReload)
	if got := s.post("/v1/chat/completions", ask); got.status != 200 || p.keys()["key-second"] != 1 {
		t.Errorf("with the variable in .env: %d %s; keys %v", got.status, got.body, p.keys())
	}
}

// TestTheMasterKeyAndTheCallbacksChange: a request's record goes to whom the
// configuration named when it came.
func TestTheMasterKeyAndTheCallbacksChange(t *testing.T) {
	p, before, after := newGate(t), newInbox(t), newInbox(t)
	settings := func(key string, to *inbox) string {
		return fmt.Sprintf("general_settings: {master_key: %s, success_callback: [webhook], webhook_url: %q}\n", key, to.URL)
	}
	models := "model_list:\n" + entry("m", p.base(), "")
	s := startStack(t, models+settings("sk-one", before))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if got := s.post("/v1/chat/completions", ask, "Authorization", "Bearer sk-one"); got.status != 200 {
				t.Errorf("a request that ran: %d %s", got.status, got.body)
			}
		})
	}
	await(t, 20*time.Second, "three run", func() bool { return len(p.calls()) == 3 })
	s.reconfigure(models + settings("sk-two", after))
	p.pass(t, 3)
	wg.Wait()
	if got := s.post("/v1/chat/completions", ask, "Authorization", "Bearer sk-one"); got.status != 401 {
		t.Errorf("the old key: %d", got.status)
	}
	wg.Go(func() {
		if got := s.post("/v1/chat/completions", ask, "Authorization", "Bearer sk-two"); got.status != 200 {
			t.Errorf("the new key: %d %s", got.status, got.body)
		}
	})
	p.pass(t, 1)
	wg.Wait()
	await(t, 20*time.Second, "each has its records", func() bool {
		_, a := before.all(t)
		_, b := after.all(t)
		return len(a) == 3 && len(b) == 1
	})
	s.stop()
}

// TestServeReadsItsConfigAgainOnSIGHUP and says which clusters the Envoy of other
// people must have.
func TestServeReadsItsConfigAgainOnSIGHUP(t *testing.T) {
	p := newProvider(t, openAI)
	a := serve(t, "model_list:\n"+entry("m", p.base(), ""))
	a.start("1.40.0", a.envoyConfig("--listen", "127.0.0.1:"+a.port, "--admin", "unix://"+a.adminSocket(), "--processor", a.grpc, "--access-log", ""))
	if err := os.WriteFile(a.config, []byte("model_list:\n"+entry("m", p.base(), "")+entry("n", p.base()+"/n", "")+"router_settings: {model_group_alias: {alias: m}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := a.post("/v1/chat/completions", named("alias", ask)); got.status != 404 {
		t.Errorf("before the signal: %d %s", got.status, got.body)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, 20*time.Second, "the change is taken up", func() bool { return strings.Contains(a.stderr.String(), "a changed configuration is in force") })
	if got := a.post("/v1/chat/completions", named("alias", ask)); got.status != 200 {
		t.Errorf("after the signal: %d %s", got.status, got.body)
	}
	if log := a.stderr.String(); strings.Count(log, "Envoy must have these upstream clusters") != 1 || !strings.Contains(log, "deployment/n-") {
		t.Errorf("the clusters that Envoy lacks are not named: %s", log)
	}
}

func TestWhatCannotChangeWhileItRunsStaysAndIsNamed(t *testing.T) {
	parse := func(settings string) *config.Config {
		c, _, err := config.Parse("c.yaml", []byte("model_list:\n"+entry("m", "http://127.0.0.1:1/v1", "")+"general_settings: {"+settings+"}\n"), config.Options{Lookup: func(string) (string, bool) { return "", false }})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for settings, want := range map[string][]string{
		"num_retries: 5, max_parallel_requests: 9": nil,
		"max_request_size_mb: 7":                   {"max_request_body_bytes"},
		"queue_timeout: 7":                         {"queue_timeout"},
		"set_verbose: true":                        {"the log's level or format"},
		"json_logs: true":                          {"the log's level or format"},
		"success_callback: [otel]":                 {"the callback otel"},
		"queue_timeout: 7, json_logs: true":        {"queue_timeout", "the log's level or format"},
	} {
		old, c := parse(""), parse(settings)
		if diff := cmp.Diff(want, keepFixed(c, old)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", settings, diff)
		}
		if c.MaxRequestBody != old.MaxRequestBody || c.Limits.QueueTimeout != old.Limits.QueueTimeout || c.Verbose || c.JSONLogs {
			t.Errorf("%s: something changes that cannot", settings)
		}
	}
}
