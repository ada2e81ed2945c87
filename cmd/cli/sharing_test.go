package cli

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

	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// with is a request with one member more.
func with(member, body string) string {
	return strings.Replace(body, `"model"`, member+`,"model"`, 1)
}

func TestReplicasShareTheirCache(t *testing.T) {
	p := newProvider(t, openAI)
	f := startFleet(t, 2, "model_list:\n"+entry("m", p.base(), "")+
		"general_settings: {redis_timeout: 2, tenant_header: X-Team, cache: true, cache_params: {type: redis, url: \"redis://$REDIS\", ttl: 100, namespace: team-cache}}\n")
	a, b := f.replicas[0], f.replicas[1]
	if got := a.post("/v1/chat/completions", ask); got.header.Get("X-Isthmus-Cache") != "miss" {
		t.Fatalf("first: %d %v", got.status, got.header)
	}
	var key string
	await(t, 20*time.Second, "the answer is stored", func() bool {
		keys := f.redis.Keys(t.Context(), "team-cache:*").Val()
		if len(keys) == 1 {
			key = keys[0]
		}
		return key != ""
	})
	if ttl := f.redis.PTTL(t.Context(), key).Val(); ttl <= 90*time.Second || ttl > 100*time.Second {
		t.Errorf("the key lives for %s, want 100 s", ttl)
	}
	for name, body := range map[string]string{"blocking": ask, "streaming": askStream} {
		for i, s := range f.replicas {
			got := s.post("/v1/chat/completions", body)
			if got.status != 200 || got.header.Get("X-Isthmus-Cache") != "hit" || got.header.Get("X-Litellm-Cache-Key") != key {
				t.Errorf("%s, replica %d: %d %v", name, i, got.status, got.header)
			}
		}
	}
	if n := len(p.calls()); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	f.otherRequestsMiss(p)
	f.controlsHold(p)
	f.operatorsCommands(a)
	f.server.Kill()
	for range 5 {
		for _, s := range []*stack{a, b} {
			if got := s.post("/v1/chat/completions", ask); got.status != 200 || got.header.Get("X-Isthmus-Cache") != "miss" {
				t.Errorf("without Redis: %d %v", got.status, got.header)
			}
		}
	}
}

// otherRequestsMiss asks what is no repetition.
func (f *fleet) otherRequestsMiss(p *provider) {
	f.t.Helper()
	for name, tc := range map[string]struct{ body, team string }{
		"temperature": {with(`"temperature":0.5`, ask), ""},
		"tool":        {with(`"tools":[{"type":"function","function":{"name":"f"}}]`, ask), ""},
		"image":       {strings.Replace(ask, `"hi"`, `[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]`, 1), ""},
		"image b":     {strings.Replace(ask, `"hi"`, `[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAB"}}]`, 1), ""},
		"tenant":      {ask, "red"},
		"tenant b":    {ask, "blue"},
	} {
		before := len(p.calls())
		got := f.replicas[0].post("/v1/chat/completions", tc.body, "X-Team", tc.team)
		if got.status != 200 || got.header.Get("X-Isthmus-Cache") != "miss" || len(p.calls()) != before+1 {
			f.t.Errorf("another %s: %d %s", name, got.status, got.header.Get("X-Isthmus-Cache"))
		}
	}
}

// controlsHold asks with each of the controls; the plain request is stored.
func (f *fleet) controlsHold(p *provider) {
	f.t.Helper()
	// stored waits: an answer is stored after the client has it.
	stored := func(body string) {
		f.t.Helper()
		await(f.t, 20*time.Second, "it is stored: "+body, func() bool {
			return f.replicas[0].post("/v1/chat/completions", body).header.Get("X-Isthmus-Cache") == "hit"
		})
	}
	for _, tc := range []struct{ name, body, want string }{
		{"no-cache", with(`"cache":{"no-cache":true}`, ask), "bypass"},
		{"no-store", with(`"cache":{"no-store":true},"seed":1`, ask), "miss"},
		{"no-store again", with(`"cache":{"no-store":true},"seed":1`, ask), "miss"},
		{"a namespace", with(`"cache":{"namespace":"mine"}`, ask), "miss"},
		{"cache: false", with(`"cache":false`, ask), "bypass"},
		{"a ttl", with(`"cache":{"ttl":2},"seed":2`, ask), "miss"},
	} {
		got := f.replicas[0].post("/v1/chat/completions", tc.body)
		if got.status != 200 || got.header.Get("X-Isthmus-Cache") != tc.want {
			f.t.Errorf("%s: %d %q, want %s", tc.name, got.status, got.header.Get("X-Isthmus-Cache"), tc.want)
		}
	}
	stored(with(`"cache":{"ttl":2},"seed":2`, ask))
	stored(with(`"cache":{"namespace":"mine"}`, ask))
	if keys := f.redis.Keys(f.t.Context(), "team-cache:mine:*").Val(); len(keys) != 1 {
		f.t.Errorf("keys of the namespace: %v", keys)
	}
	before := len(p.calls())
	await(f.t, 20*time.Second, "the ttl of 2 s is over", func() bool {
		return f.replicas[1].post("/v1/chat/completions", with(`"seed":2`, ask)).header.Get("X-Isthmus-Cache") == "miss"
	})
	if n := len(p.calls()); n != before+1 {
		f.t.Errorf("%d calls after the ttl", n-before)
	}
	stored(with(`"seed":2`, ask)) // nothing is under way to the store
	stored(with(`"seed":3`, ask))
	await(f.t, 20*time.Second, "what is older than s-maxage is not taken", func() bool {
		return f.replicas[0].post("/v1/chat/completions", with(`"cache":{"s-maxage":1,"no-store":true},"seed":3`, ask)).header.Get("X-Isthmus-Cache") == "miss"
	})
}

// operatorsCommands asks after the cache and empties it, on the command line and at
// the admin port.
func (f *fleet) operatorsCommands(s *stack) {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "config.yaml")
	config := "model_list:\n" + entry("m", "http://127.0.0.1:1/v1", "") +
		"general_settings: {cache: true, cache_params: {type: redis, url: \"redis://" + f.server.Addr + "\", namespace: team-cache}}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.redis.Set(f.t.Context(), "team-cachet:x", "somebody else's", time.Minute)
	run := func(word, want string) {
		var out, errs bytes.Buffer
		if code := dispatch(f.t.Context(), []string{"cache", word, "--config", path}, &out, &errs); code != 0 || !strings.Contains(out.String(), want) {
			f.t.Errorf("isthmus cache %s: %d %s%s", word, code, &out, &errs)
		}
	}
	run("ping", "answers")
	run("flush", "entries are gone")
	if keys := f.redis.Keys(f.t.Context(), "team-cache*").Val(); len(keys) != 1 || keys[0] != "team-cachet:x" {
		f.t.Errorf("after the flush: %v", keys)
	}
	if got := s.adminGet("/cache/ping"); got != `{"status":"healthy"}` {
		f.t.Errorf("GET /cache/ping: %s", got)
	}
	s.post("/v1/chat/completions", ask)
	await(f.t, 20*time.Second, "it is stored anew", func() bool { return len(f.redis.Keys(f.t.Context(), "team-cache:*").Val()) == 1 })
	resp, err := http.Post(s.admin+"/cache/flushall", "", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := drainBody(resp); err != nil || resp.StatusCode != 200 {
		f.t.Errorf("POST /cache/flushall: %d %v", resp.StatusCode, err)
	}
	if keys := f.redis.Keys(f.t.Context(), "team-cache:*").Val(); len(keys) != 0 {
		f.t.Errorf("after flushall: %v", keys)
	}
}

func TestTheAdminPortsCacheNeedsTheMasterKeyAndACache(t *testing.T) {
	p := newProvider(t, openAI)
	model := "model_list:\n" + entry("m", p.base(), "")
	guarded := startStack(t, model+"general_settings: {master_key: sk-master, cache: true}\n")
	for _, path := range []string{"/cache/ping"} {
		if got := guarded.adminGet(path); !strings.Contains(got, "invalid_request_error") {
			t.Errorf("%s without the key: %s", path, got)
		}
	}
	if got := startStack(t, model).adminGet("/cache/ping"); !strings.Contains(got, "no cache is configured") {
		t.Errorf("without a cache: %s", got)
	}
	var out, errs bytes.Buffer
	if code := dispatch(t.Context(), []string{"cache", "empty"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), "cache flush") {
		t.Errorf("a word that does not exist: %d %s", code, &errs)
	}
}

func TestReplicasShareCooldownsAndLoad(t *testing.T) {
	var ill atomic.Bool
	sick := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if ill.Load() {
			failWith(401)(w, r, body)
			return
		}
		openAI(w, r, body)
	})
	one, two := newGate(t), newGate(t)
	f := startFleet(t, 2, "model_list:\n"+entry("rest", sick.base(), ", order: 1")+entry("rest", newProvider(t, openAI).base(), ", order: 2")+
		entry("busy", one.base(), "")+entry("busy", two.base(), "")+
		"router_settings: {routing_strategy: least-busy, cooldown_time: 300}\ngeneral_settings: {"+exactByRedis+"}\n")
	a, b := f.replicas[0], f.replicas[1]
	ill.Store(true)
	if got := a.post("/v1/chat/completions", named("rest", ask)); got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "2" {
		t.Fatalf("%d %v", got.status, got.header)
	}
	began := time.Now()
	await(t, 20*time.Second, "the other replica has heard of the cooldown", func() bool { return strings.Contains(b.adminGet("/health"), "401") })
	t.Logf("the other replica knew of the cooldown after %s", time.Since(began).Round(time.Millisecond))
	if got := b.post("/v1/chat/completions", named("rest", ask)); got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("it does not let the deployment rest: %d %v", got.status, got.header)
	}

	leave := a.sendLeaving(named("busy", ask))
	await(t, 20*time.Second, "one runs", func() bool { return len(one.calls())+len(two.calls()) == 1 })
	free, taken := one, two
	if len(one.calls()) == 1 {
		free, taken = two, one
	}
	answered := make(chan struct{})
	defer close(answered)
	go func() {
		for {
			select {
			case free.open <- struct{}{}:
			case <-answered:
				return
			}
		}
	}()
	await(t, 60*time.Second, "the other replica avoids the busy deployment", func() bool {
		for range 30 {
			before, n := len(taken.calls()), len(free.calls())
			gone := b.sendLeaving(named("busy", ask))
			await(t, 20*time.Second, "it has gone somewhere", func() bool { return len(free.calls()) > n || len(taken.calls()) > before })
			if len(taken.calls()) > before {
				gone()
				b.idle()
				return false
			}
			b.idle()
		}
		return true
	})
	leave()
	for _, s := range f.replicas {
		s.idle()
	}
}

func TestTheCacheFindsAClusterAndASentinel(t *testing.T) {
	master := storetest.Start(t)
	sentinelHost, sentinelPort, _ := net.SplitHostPort(storetest.StartSentinel(t, master).Addr)
	nodes := storetest.StartCluster(t)
	_, port, _ := net.SplitHostPort(nodes[0].Addr)
	for name, params := range map[string]string{
		"cluster":  "redis_startup_nodes: [{host: 127.0.0.1, port: " + port + "}]",
		"sentinel": "service_name: mymaster, sentinel_nodes: [[" + sentinelHost + ", " + sentinelPort + "]]",
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, openAI)
			s := startStack(t, "model_list:\n"+entry("m", p.base(), ", rpm: 2")+"general_settings: {redis_timeout: 2, cache: true, cache_params: {type: redis, "+params+"}}\n")
			s.post("/v1/chat/completions", ask)
			await(t, 20*time.Second, "a second request is a hit", func() bool {
				return s.post("/v1/chat/completions", ask).header.Get("X-Isthmus-Cache") == "hit"
			})
			var last *answer
			for i := range 3 {
				last = s.post("/v1/chat/completions", strings.Replace(ask, "hi", fmt.Sprint(i), 1))
			}
			expectRefusal(t, last, "rate_limit_exceeded")
			if log := s.stderr.String(); strings.Contains(log, "redis does not answer") {
				t.Errorf("log: %s", log)
			}
		})
	}
}
