package reload

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

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// withKey is an entry with a key of its own.
func withKey(model string, p *gatewaytest.Provider, key string) string {
	return fmt.Sprintf("- {model_name: %s, litellm_params: {model: openai/up, api_key: %s, api_base: %q}}\n", model, key, p.Base())
}

// keys are those that a provider was asked with.
func keys(p *gatewaytest.Provider) map[string]int {
	out := map[string]int{}
	for _, c := range p.Calls() {
		out[strings.TrimPrefix(c.Header.Get("Authorization"), "Bearer ")]++
	}
	return out
}

// TestAChangedConfigIsTakenUpUnderLoadWithoutLosingARequest: deployments come, go
// and move while clients ask without a pause, and one reads a stream all the time.
func TestAChangedConfigIsTakenUpUnderLoadWithoutLosingARequest(t *testing.T) {
	for _, release := range []string{"1.36.4", "1.37.0", "1.40.0"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			first, second := gatewaytest.NewProvider(t, gatewaytest.OpenAI), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			long := gatewaytest.NewGate(t)
			s := gatewaytest.Start(t, "model_list:\n"+withKey("m", first, "key-one")+withKey("long", long.Provider, "key-long"), "--envoy",
				envoytest.Envoy(t, release).Path)
			stream := openStream(s, gatewaytest.ForModel("long", gatewaytest.AskStream))
			asynctest.Await(t, "the stream runs", func() bool { return len(long.Calls()) == 1 })
			asked, stop := askOn(s, t, 4)
			for _, models := range []string{
				withKey("m", second, "key-two"),
				withKey("m", first, "key-one") + withKey("m", second, "key-two"),
				withKey("m", first, "key-three") + "- {model_name: extra, litellm_params: {model: openai/up, api_base: \"http://127.0.0.1:1/v1\"}}\n",
			} {
				s.Reconfigure("model_list:\n" + models)
				n := asked.Load()
				asynctest.Await(t, "some ask under the new configuration", func() bool { return asked.Load() > n+50 })
			}
			stop()
			long.Pass(t, 1)
			if rest, err := io.ReadAll(stream); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
				t.Errorf("the stream that ran all the time ended with %v: %s", err, rest)
			}
			one, two := keys(first), keys(second)
			if one["key-one"] == 0 || one["key-three"] == 0 || len(one) != 2 || two["key-two"] == 0 || len(two) != 1 {
				t.Errorf("the first provider was asked with %v, the second with %v", one, two)
			}
			asynctest.Await(t, "Envoy has no cluster that nobody uses", func() bool {
				clusters := envoyAdmin(s, "/clusters")
				return !strings.Contains(clusters, "deployment/long") && strings.Contains(clusters, "deployment/extra")
			})
			if got := s.Post("/v1/chat/completions", gatewaytest.ForModel("long", gatewaytest.Ask)); got.Status != 404 {
				t.Errorf("a model that is gone: %d %s", got.Status, got.Body)
			}
			s.Idle()
		})
	}
}

// openStream begins a request and returns its answer's body.
func openStream(s *gatewaytest.Gateway, body string) io.Reader {
	r, w := io.Pipe()
	ctx, cancel := context.WithTimeout(s.T.Context(), 3*time.Minute)
	s.T.Cleanup(cancel)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(body))
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
func askOn(s *gatewaytest.Gateway, t *testing.T, clients int) (asked *atomic.Int64, stop func()) {
	asked = &atomic.Int64{}
	var over atomic.Bool
	var wg sync.WaitGroup
	for i := range clients {
		body := []string{gatewaytest.Ask, gatewaytest.AskStream}[i%2]
		wg.Go(func() {
			for !over.Load() {
				if got := s.Post("/v1/chat/completions", body); got.Status != 200 || got.Err != nil {
					t.Errorf("%d %v %s", got.Status, got.Err, got.Body)
				}
				asked.Add(1)
			}
		})
	}
	return asked, func() { over.Store(true); wg.Wait() }
}

// envoyAdmin asks the Envoy of this gateway; there may be several in this process,
// so that it is found by its port.
func envoyAdmin(s *gatewaytest.Gateway, path string) string {
	s.T.Helper()
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	sockets, err := filepath.Glob(filepath.Join(os.TempDir(), "isthmus-*", "envoy.sock"))
	if err != nil {
		s.T.Fatal(err)
	}
	for _, socket := range sockets {
		if strings.Contains(overSocket(s.T, socket, "/listeners"), port) {
			return overSocket(s.T, socket, path)
		}
	}
	s.T.Fatal("no Envoy has this port")
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
	t.Parallel()
	limited, broken, good := gatewaytest.NewProvider(t, gatewaytest.OpenAI), gatewaytest.NewProvider(t, gatewaytest.FailWith(500)),
		gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	gate := gatewaytest.NewGate(t)
	config := "model_list:\n" + gatewaytest.Entry("limited", limited.Base(), ", rpm: 3") +
		gatewaytest.Entry("cools", broken.Base(), ", order: 1, allowed_fails: 1, cooldown_time: 300") +
		gatewaytest.Entry("cools", good.Base(), ", order: 2") +
		gatewaytest.Entry("slot", gate.Base(), ", max_parallel_requests: 1") + gatewaytest.Entry("kept", good.Base(), "") +
		"router_settings: {num_retries: 1}\ngeneral_settings: {cache: true, enable_request_queue: true, queue_timeout: 120}\n"
	s := gatewaytest.Start(t, config)
	fresh := func(model string, n int) string {
		return gatewaytest.ForModel(model, strings.Replace(gatewaytest.Ask, "hi", fmt.Sprint("number ", n), 1))
	}
	for n := range 2 {
		s.Post("/v1/chat/completions", fresh("limited", n))
	}
	if got := s.Post("/v1/chat/completions", fresh("cools", 0)).Header.Get("X-Isthmus-Attempts"); got != "2" {
		t.Errorf("%s attempts before the cooldown", got)
	}
	asynctest.Await(t, "the answer is in the cache", func() bool {
		return s.Post("/v1/chat/completions", fresh("kept", 0)).Header.Get("X-Isthmus-Cache") == "hit"
	})
	running, waiting := openStream(s, fresh("slot", 0)), openStream(s, fresh("slot", 1))
	asynctest.Await(t, "one runs and one waits",
		func() bool { return len(gate.Calls()) == 1 && s.Metric("isthmus_queue_length") == 1 })

	s.Reconfigure(strings.Replace(config, "model_list:\n", "model_list:\n"+gatewaytest.Entry("new", good.Base(), ""), 1))
	if got := s.Post("/v1/chat/completions", fresh("new", 0)); got.Status != 200 {
		t.Errorf("the new model: %d %s", got.Status, got.Body)
	}
	if got := s.Post("/v1/chat/completions", fresh("kept", 0)).Header.Get("X-Isthmus-Cache"); got != "hit" {
		t.Errorf("the cache says %q", got)
	}
	if got := s.Post("/v1/chat/completions", fresh("cools", 1)).Header.Get("X-Isthmus-Attempts"); got != "1" {
		t.Errorf("%s attempts: the cooldown is forgotten", got)
	}
	for n, want := range []int{200, 429} { // of three a minute, two were used
		if got := s.Post("/v1/chat/completions", fresh("limited", 10+n)); got.Status != want {
			t.Errorf("request %d of the minute: %d %s", 3+n, got.Status, got.Body)
		}
	}
	late := openStream(s, fresh("slot", 2))
	gate.Pass(t, 3)
	for _, answer := range []io.Reader{running, waiting, late} {
		if text, err := io.ReadAll(answer); err != nil || !strings.Contains(string(text), `"finish_reason":"stop"`) {
			t.Errorf("a request that ran or waited: %v %s", err, text)
		}
	}
	s.Idle()
}

func TestAConfigThatCannotBeUsedChangesNothingAndSaysWhy(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	config := "model_list:\n" + gatewaytest.Entry("m", p.Base(), "")
	s := gatewaytest.Start(t, config)
	s.Write("config.yaml", config+"router_settings: {num_retries: many}\n", gatewaytest.RefusedReload)
	asynctest.Await(t, "the log names the place", func() bool {
		return strings.Contains(s.Stderr.String(), "config.yaml:4: router_settings.num_retries") &&
			strings.Contains(s.Stderr.String(), "the one before stays in force")
	})
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 {
		t.Errorf("the old configuration: %d %s", got.Status, got.Body)
	}
	if health := s.AdminGet("/health"); s.Metric("isthmus_config_current") != 0 || !strings.Contains(health, `"refused_at":"2`) {
		t.Errorf("nobody can see it: %s", health)
	}
	if err := os.Remove(s.File); err != nil {
		t.Fatal(err)
	}
	asynctest.Await(t, "a file that is gone is refused",
		func() bool { return s.Metric(`isthmus_config_reloads_total{outcome="refused"}`) == 2 })
	s.Reconfigure(config + gatewaytest.Entry("n", p.Base(), ""))
	got := s.Post("/v1/chat/completions", gatewaytest.ForModel("n", gatewaytest.Ask))
	if got.Status != 200 || s.Metric("isthmus_config_current") != 1 {
		t.Errorf("the mended configuration: %d %s", got.Status, got.Body)
	}
}

// TestTheFilesThatAConfigReadsAreLookedAtToo: what it includes, and the .env, one
// that comes later as well.
func TestTheFilesThatAConfigReadsAreLookedAtToo(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+withKey("m", p, "key-first"))
	s.Write("config.yaml", "include: [more.yaml]\nmodel_list:\n"+withKey("m", p, "os.environ/RELOADED_KEY")+withKey("other", p, "key-other"),
		gatewaytest.RefusedReload)
	s.Write("more.yaml", "model_list:\n"+withKey("more", p, "key-more"), gatewaytest.GoodReload)
	if got := s.Post("/v1/chat/completions", gatewaytest.ForModel("more", gatewaytest.Ask)); got.Status != 200 {
		t.Errorf("the included model: %d %s", got.Status, got.Body)
	}
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 503 {
		t.Errorf("the model whose key is not set: %d %s", got.Status, got.Body)
	}
	s.Write(".env", "RELOADED_KEY=key-second\n", gatewaytest.GoodReload)
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || keys(p)["key-second"] != 1 {
		t.Errorf("with the variable in .env: %d %s; keys %v", got.Status, got.Body, keys(p))
	}
}

// TestTheMasterKeyAndTheCallbacksChange: a request's record goes to whom the
// configuration named when it came.
func TestTheMasterKeyAndTheCallbacksChange(t *testing.T) {
	t.Parallel()
	p, before, after := gatewaytest.NewGate(t), gatewaytest.NewWebhook(t), gatewaytest.NewWebhook(t)
	settings := func(key string, to *gatewaytest.Webhook) string {
		return fmt.Sprintf("general_settings: {master_key: %s, success_callback: [webhook], webhook_url: %q}\n", key, to.URL)
	}
	models := "model_list:\n" + gatewaytest.Entry("m", p.Base(), "")
	s := gatewaytest.Start(t, models+settings("sk-one", before))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if got := s.Post("/v1/chat/completions", gatewaytest.Ask, "Authorization", "Bearer sk-one"); got.Status != 200 {
				t.Errorf("a request that ran: %d %s", got.Status, got.Body)
			}
		})
	}
	asynctest.Await(t, "three run", func() bool { return len(p.Calls()) == 3 })
	s.Reconfigure(models + settings("sk-two", after))
	p.Pass(t, 3)
	wg.Wait()
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask, "Authorization", "Bearer sk-one"); got.Status != 401 {
		t.Errorf("the old key: %d", got.Status)
	}
	wg.Go(func() {
		if got := s.Post("/v1/chat/completions", gatewaytest.Ask, "Authorization", "Bearer sk-two"); got.Status != 200 {
			t.Errorf("the new key: %d %s", got.Status, got.Body)
		}
	})
	p.Pass(t, 1)
	wg.Wait()
	asynctest.Await(t, "each has its records", func() bool {
		_, a := before.Records(t)
		_, b := after.Records(t)
		return len(a) == 3 && len(b) == 1
	})
	s.Stop()
}

// TestServeReadsItsConfigAgainOnSIGHUP and says which clusters the Envoy of other
// people must have.
func TestServeReadsItsConfigAgainOnSIGHUP(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	a := gatewaytest.Serve(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	a.StartEnvoy("1.40.0", a.EnvoyConfig("--listen", "127.0.0.1:"+a.Port, "--admin", "unix://"+a.AdminSocket(), "--processor", a.Processor,
		"--access-log", ""))
	err := os.WriteFile(a.File, []byte("model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.Entry("n", p.Base()+"/n", "")+
		"router_settings: {model_group_alias: {alias: m}}\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Post("/v1/chat/completions", gatewaytest.ForModel("alias", gatewaytest.Ask)); got.Status != 404 {
		t.Errorf("before the signal: %d %s", got.Status, got.Body)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	asynctest.Await(t, "the change is taken up",
		func() bool { return strings.Contains(a.Stderr.String(), "a changed configuration is in force") })
	if got := a.Post("/v1/chat/completions", gatewaytest.ForModel("alias", gatewaytest.Ask)); got.Status != 200 {
		t.Errorf("after the signal: %d %s", got.Status, got.Body)
	}
	log := a.Stderr.String()
	if strings.Count(log, "Envoy must have these upstream clusters") != 1 || !strings.Contains(log, "deployment/n-") {
		t.Errorf("the clusters that Envoy lacks are not named: %s", log)
	}
}
