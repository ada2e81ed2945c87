package cli

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

func TestLimitsAndTheCacheOverTLSToRedis(t *testing.T) {
	ca := storetest.NewAuthority(t)
	server := storetest.StartTLS(t, ca, false)
	_, port, _ := net.SplitHostPort(server.Addr)
	nodes := storetest.StartClusterTLS(t, ca)
	sentinel := storetest.StartSentinelTLS(t, ca, storetest.StartTLS(t, ca, false))
	for name, settings := range map[string]string{
		"a URL":      fmt.Sprintf("cache: true, cache_params: {type: redis, url: \"rediss://%s\", ssl_ca_certs: %q}", server.Addr, ca.CAFile),
		"ssl: true":  fmt.Sprintf("cache: true, cache_params: {type: redis, host: 127.0.0.1, port: %s, ssl: true, ssl_ca_certs: %q}", port, ca.CAFile),
		"unverified": fmt.Sprintf("cache: true, cache_params: {type: redis, host: 127.0.0.1, port: %s, ssl: true, ssl_cert_reqs: none}", port),
		"two places": fmt.Sprintf("redis_url: \"rediss://%s\", redis_ssl_ca_certs: %q, cache: true, cache_params: {type: redis}", server.Addr, ca.CAFile),
		"a cluster":  fmt.Sprintf("cache: true, cache_params: {type: redis, redis_startup_nodes: [%q], ssl: true, ssl_ca_certs: %q}", nodes[1].Addr, ca.CAFile),
		"sentinels":  fmt.Sprintf("cache: true, cache_params: {type: redis, sentinel_nodes: [%q], service_name: mymaster, ssl: true, ssl_ca_certs: %q}", sentinel.Addr, ca.CAFile),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, openAI)
			config := "model_list:\n" + entry("m", p.base(), ", rpm: 3") + "general_settings: {redis_timeout: 2, " + settings + "}\n"
			a, b := startStack(t, config), startStack(t, config)
			question := func(text string) string { return strings.Replace(ask, "hi", name+text, 1) }
			a.post("/v1/chat/completions", question(""))
			await(t, 20*time.Second, "the other replica has the answer", func() bool {
				return b.post("/v1/chat/completions", with(`"cache":{"no-store":true}`, question(""))).header.Get("X-Isthmus-Cache") == "hit"
			})
			var last *answer
			for i := range 4 {
				last = []*stack{a, b}[i%2].post("/v1/chat/completions", question(fmt.Sprint(i)))
			}
			expectRefusal(t, last, "rate_limit_exceeded")
			if n := len(p.calls()); n != 3 {
				t.Errorf("%d calls passed, the limit is 3", n)
			}
			for _, s := range []*stack{a, b} {
				if log := s.stderr.String(); strings.Contains(log, "redis does not answer") {
					t.Errorf("log: %s", log)
				}
			}
		})
	}
}

// A Redis that cannot be trusted is as good as none: the log says why, once, and
// requests are served.
func TestARedisWithAWrongCertificateIsToldAndTrafficGoesOn(t *testing.T) {
	ours, theirs := storetest.NewAuthority(t), storetest.NewAuthority(t)
	server := storetest.StartTLS(t, theirs, false)
	p := newProvider(t, openAI)
	config := "model_list:\n" + entry("m", p.base(), ", rpm: 5") +
		fmt.Sprintf("general_settings: {redis_timeout: 2, cache: true, cache_params: {type: redis, url: \"rediss://:canary@%s\", ssl_ca_certs: %q}}\n", server.Addr, ours.CAFile)
	s := startStack(t, config)
	for range 5 {
		if got := s.post("/v1/chat/completions", ask); got.status != 200 || got.header.Get("X-Isthmus-Cache") != "miss" {
			t.Errorf("%d %v", got.status, got.header)
		}
	}
	expectRefusal(t, s.post("/v1/chat/completions", ask), "rate_limit_exceeded")
	log := s.stderr.String()
	if strings.Count(log, "redis does not answer") != 1 || !strings.Contains(log, "certificate signed by unknown authority") || strings.Contains(log, "canary") {
		t.Errorf("log: %s", log)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := dispatch(t.Context(), []string{"cache", "ping", "--config", path}, &out, &errs); code != 1 || !strings.Contains(errs.String(), "unknown authority") || strings.Contains(errs.String(), "canary") {
		t.Errorf("cache ping: %d %s %s", code, &out, &errs)
	}
}
