package cache

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

func TestReplicasShareTheirCache(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	f := gatewaytest.StartFleet(t, 2, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+
		"general_settings: {redis_timeout: 2, tenant_header: X-Team, cache: true, cache_params: {type: redis, url: \"redis://$REDIS\", "+
		"ttl: 100, namespace: team-cache}}\n")
	a, b := f.Replicas[0], f.Replicas[1]
	if got := a.Post("/v1/chat/completions", gatewaytest.Ask); got.Header.Get("X-Isthmus-Cache") != "miss" {
		t.Fatalf("first: %d %v", got.Status, got.Header)
	}
	var key string
	asynctest.Await(t, "the answer is stored", func() bool {
		keys := f.Redis.Keys(t.Context(), "team-cache:*").Val()
		if len(keys) == 1 {
			key = keys[0]
		}
		return key != ""
	})
	if ttl := f.Redis.PTTL(t.Context(), key).Val(); ttl <= 90*time.Second || ttl > 100*time.Second {
		t.Errorf("the key lives for %s, want 100 s", ttl)
	}
	for name, body := range map[string]string{"blocking": gatewaytest.Ask, "streaming": gatewaytest.AskStream} {
		for i, s := range f.Replicas {
			got := s.Post("/v1/chat/completions", body)
			if got.Status != 200 || got.Header.Get("X-Isthmus-Cache") != "hit" || got.Header.Get("X-Litellm-Cache-Key") != key {
				t.Errorf("%s, replica %d: %d %v", name, i, got.Status, got.Header)
			}
		}
	}
	if n := len(p.Calls()); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	otherRequestsMiss(f, p)
	controlsHold(f, p)
	operatorsCommands(f, a)
	f.Server.Kill()
	for range 5 {
		for _, s := range []*gatewaytest.Gateway{a, b} {
			if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || got.Header.Get("X-Isthmus-Cache") != "miss" {
				t.Errorf("without Redis: %d %v", got.Status, got.Header)
			}
		}
	}
}

// otherRequestsMiss asks what is no repetition.
func otherRequestsMiss(f *gatewaytest.Fleet, p *gatewaytest.Provider) {
	f.T.Helper()
	for name, tc := range map[string]struct{ body, team string }{
		"temperature": {gatewaytest.With(`"temperature":0.5`, gatewaytest.Ask), ""},
		"tool":        {gatewaytest.With(`"tools":[{"type":"function","function":{"name":"f"}}]`, gatewaytest.Ask), ""},
		"image": {strings.Replace(gatewaytest.Ask, `"hi"`, `[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]`, 1),
			""},
		"image b": {strings.Replace(gatewaytest.Ask, `"hi"`, `[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAB"}}]`, 1),
			""},
		"tenant":   {gatewaytest.Ask, "red"},
		"tenant b": {gatewaytest.Ask, "blue"},
	} {
		before := len(p.Calls())
		got := f.Replicas[0].Post("/v1/chat/completions", tc.body, "X-Team", tc.team)
		if got.Status != 200 || got.Header.Get("X-Isthmus-Cache") != "miss" || len(p.Calls()) != before+1 {
			f.T.Errorf("another %s: %d %s", name, got.Status, got.Header.Get("X-Isthmus-Cache"))
		}
	}
}

// controlsHold asks with each of the controls; the plain request is stored.
func controlsHold(f *gatewaytest.Fleet, p *gatewaytest.Provider) {
	f.T.Helper()
	// stored waits: an answer is stored after the client has it.
	stored := func(body string) {
		f.T.Helper()
		asynctest.Await(f.T, "it is stored: "+body, func() bool {
			return f.Replicas[0].Post("/v1/chat/completions", body).Header.Get("X-Isthmus-Cache") == "hit"
		})
	}
	for _, tc := range []struct{ name, body, want string }{
		{"no-cache", gatewaytest.With(`"cache":{"no-cache":true}`, gatewaytest.Ask), "bypass"},
		{"no-store", gatewaytest.With(`"cache":{"no-store":true},"seed":1`, gatewaytest.Ask), "miss"},
		{"no-store again", gatewaytest.With(`"cache":{"no-store":true},"seed":1`, gatewaytest.Ask), "miss"},
		{"a namespace", gatewaytest.With(`"cache":{"namespace":"mine"}`, gatewaytest.Ask), "miss"},
		{"cache: false", gatewaytest.With(`"cache":false`, gatewaytest.Ask), "bypass"},
		{"a ttl", gatewaytest.With(`"cache":{"ttl":2},"seed":2`, gatewaytest.Ask), "miss"},
	} {
		got := f.Replicas[0].Post("/v1/chat/completions", tc.body)
		if got.Status != 200 || got.Header.Get("X-Isthmus-Cache") != tc.want {
			f.T.Errorf("%s: %d %q, want %s", tc.name, got.Status, got.Header.Get("X-Isthmus-Cache"), tc.want)
		}
	}
	stored(gatewaytest.With(`"cache":{"ttl":2},"seed":2`, gatewaytest.Ask))
	stored(gatewaytest.With(`"cache":{"namespace":"mine"}`, gatewaytest.Ask))
	if keys := f.Redis.Keys(f.T.Context(), "team-cache:mine:*").Val(); len(keys) != 1 {
		f.T.Errorf("keys of the namespace: %v", keys)
	}
	before := len(p.Calls())
	asynctest.Await(f.T, "the ttl of 2 s is over", func() bool {
		return f.Replicas[1].Post("/v1/chat/completions", gatewaytest.With(`"seed":2`, gatewaytest.Ask)).Header.Get("X-Isthmus-Cache") == "miss"
	})
	if n := len(p.Calls()); n != before+1 {
		f.T.Errorf("%d calls after the ttl", n-before)
	}
	stored(gatewaytest.With(`"seed":2`, gatewaytest.Ask)) // nothing is under way to the store
	stored(gatewaytest.With(`"seed":3`, gatewaytest.Ask))
	asynctest.Await(f.T, "what is older than s-maxage is not taken", func() bool {
		return f.Replicas[0].Post("/v1/chat/completions", gatewaytest.With(`"cache":{"s-maxage":1,"no-store":true},"seed":3`,
			gatewaytest.Ask)).Header.Get("X-Isthmus-Cache") == "miss"
	})
}

// operatorsCommands asks after the cache and empties it, on the command line and at
// the admin port.
func operatorsCommands(f *gatewaytest.Fleet, s *gatewaytest.Gateway) {
	f.T.Helper()
	path := filepath.Join(f.T.TempDir(), "config.yaml")
	config := "model_list:\n" + gatewaytest.Entry("m", "http://127.0.0.1:1/v1", "") +
		"general_settings: {cache: true, cache_params: {type: redis, url: \"redis://" + f.Server.Addr + "\", namespace: team-cache}}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		f.T.Fatal(err)
	}
	f.Redis.Set(f.T.Context(), "team-cachet:x", "somebody else's", time.Minute)
	run := func(word, want string) {
		var out, errs bytes.Buffer
		code := cli.Run(f.T.Context(), []string{"cache", word, "--config", path}, &out, &errs)
		if code != 0 || !strings.Contains(out.String(), want) {
			f.T.Errorf("isthmus cache %s: %d %s%s", word, code, &out, &errs)
		}
	}
	run("ping", "answers")
	run("flush", "entries are gone")
	if keys := f.Redis.Keys(f.T.Context(), "team-cache*").Val(); len(keys) != 1 || keys[0] != "team-cachet:x" {
		f.T.Errorf("after the flush: %v", keys)
	}
	if got := s.AdminGet("/cache/ping"); got != `{"status":"healthy"}` {
		f.T.Errorf("GET /cache/ping: %s", got)
	}
	s.Post("/v1/chat/completions", gatewaytest.Ask)
	asynctest.Await(f.T, "it is stored anew",
		func() bool { return len(f.Redis.Keys(f.T.Context(), "team-cache:*").Val()) == 1 })
	resp, err := http.Post(s.Admin+"/cache/flushall", "", nil)
	if err != nil {
		f.T.Fatal(err)
	}
	if err := gatewaytest.Drain(resp); err != nil || resp.StatusCode != 200 {
		f.T.Errorf("POST /cache/flushall: %d %v", resp.StatusCode, err)
	}
	if keys := f.Redis.Keys(f.T.Context(), "team-cache:*").Val(); len(keys) != 0 {
		f.T.Errorf("after flushall: %v", keys)
	}
}

func TestTheAdminPortsCacheNeedsTheMasterKeyAndACache(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	model := "model_list:\n" + gatewaytest.Entry("m", p.Base(), "")
	guarded := gatewaytest.Start(t, model+"general_settings: {master_key: sk-master, cache: true}\n")
	for _, path := range []string{"/cache/ping"} {
		if got := guarded.AdminGet(path); !strings.Contains(got, "invalid_request_error") {
			t.Errorf("%s without the key: %s", path, got)
		}
	}
	if got := gatewaytest.Start(t, model).AdminGet("/cache/ping"); !strings.Contains(got, "no cache is configured") {
		t.Errorf("without a cache: %s", got)
	}
	var out, errs bytes.Buffer
	if code := cli.Run(t.Context(), []string{"cache", "empty"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), "cache flush") {
		t.Errorf("a word that does not exist: %d %s", code, &errs)
	}
}

func TestReplicasShareCooldownsAndLoad(t *testing.T) {
	var ill atomic.Bool
	sick := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if ill.Load() {
			gatewaytest.FailWith(401)(w, r, body)
			return
		}
		gatewaytest.OpenAI(w, r, body)
	})
	one, two := gatewaytest.NewGate(t), gatewaytest.NewGate(t)
	f := gatewaytest.StartFleet(t, 2, "model_list:\n"+gatewaytest.Entry("rest", sick.Base(), ", order: 1")+
		gatewaytest.Entry("rest", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), ", order: 2")+gatewaytest.Entry("busy", one.Base(), "")+
		gatewaytest.Entry("busy", two.Base(), "")+"router_settings: {routing_strategy: least-busy, cooldown_time: 300}\ngeneral_settings: {"+
		gatewaytest.ExactByRedis+"}\n")
	a, b := f.Replicas[0], f.Replicas[1]
	ill.Store(true)
	got := a.Post("/v1/chat/completions", gatewaytest.ForModel("rest", gatewaytest.Ask))
	if got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "2" {
		t.Fatalf("%d %v", got.Status, got.Header)
	}
	began := time.Now()
	asynctest.Await(t, "the other replica has heard of the cooldown",
		func() bool { return strings.Contains(b.AdminGet("/health"), "401") })
	t.Logf("the other replica knew of the cooldown after %s", time.Since(began).Round(time.Millisecond))
	got = b.Post("/v1/chat/completions", gatewaytest.ForModel("rest", gatewaytest.Ask))
	if got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("it does not let the deployment rest: %d %v", got.Status, got.Header)
	}

	leave := a.SendLeaving(gatewaytest.ForModel("busy", gatewaytest.Ask))
	asynctest.Await(t, "one runs", func() bool { return len(one.Calls())+len(two.Calls()) == 1 })
	free, taken := one, two
	if len(one.Calls()) == 1 {
		free, taken = two, one
	}
	answered := make(chan struct{})
	defer close(answered)
	go func() {
		for {
			select {
			case free.Open <- struct{}{}:
			case <-answered:
				return
			}
		}
	}()
	asynctest.Await(t, "the other replica avoids the busy deployment", func() bool {
		for range 30 {
			before, n := len(taken.Calls()), len(free.Calls())
			gone := b.SendLeaving(gatewaytest.ForModel("busy", gatewaytest.Ask))
			asynctest.Await(t, "it has gone somewhere",
				func() bool { return len(free.Calls()) > n || len(taken.Calls()) > before })
			if len(taken.Calls()) > before {
				gone()
				b.Idle()
				return false
			}
			b.Idle()
		}
		return true
	})
	leave()
	for _, s := range f.Replicas {
		s.Idle()
	}
}

func TestTheCacheFindsAClusterAndASentinel(t *testing.T) {
	t.Parallel()
	master := storetest.Start(t)
	sentinelHost, sentinelPort, _ := net.SplitHostPort(storetest.StartSentinel(t, master).Addr)
	nodes := storetest.StartCluster(t)
	_, port, _ := net.SplitHostPort(nodes[0].Addr)
	for name, params := range map[string]string{
		"cluster":  "redis_startup_nodes: [{host: 127.0.0.1, port: " + port + "}]",
		"sentinel": "service_name: mymaster, sentinel_nodes: [[" + sentinelHost + ", " + sentinelPort + "]]",
	} {
		t.Run(name, func(t *testing.T) {
			p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", rpm: 2")+
				"general_settings: {redis_timeout: 2, cache: true, cache_params: {type: redis, "+params+"}}\n")
			s.Post("/v1/chat/completions", gatewaytest.Ask)
			asynctest.Await(t, "a second request is a hit", func() bool {
				return s.Post("/v1/chat/completions", gatewaytest.Ask).Header.Get("X-Isthmus-Cache") == "hit"
			})
			var last *gatewaytest.Answer
			for i := range 3 {
				last = s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, "hi", fmt.Sprint(i), 1))
			}
			gatewaytest.ExpectRefusal(t, last, "rate_limit_exceeded")
			if log := s.Stderr.String(); strings.Contains(log, "redis does not answer") {
				t.Errorf("log: %s", log)
			}
		})
	}
}
