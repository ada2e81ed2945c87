package limits

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

func TestLimitsAndTheCacheOverTLSToRedis(t *testing.T) {
	t.Parallel()
	ca := storetest.NewAuthority(t)
	server := storetest.StartTLS(t, ca, false)
	_, port, _ := net.SplitHostPort(server.Addr)
	nodes := storetest.StartClusterTLS(t, ca)
	sentinel := storetest.StartSentinelTLS(t, ca, storetest.StartTLS(t, ca, false))
	for name, settings := range map[string]string{
		"a URL": fmt.Sprintf("cache: true, cache_params: {type: redis, url: \"rediss://%s\", ssl_ca_certs: %q}", server.Addr, ca.CAFile),
		"ssl: true": fmt.Sprintf("cache: true, cache_params: {type: redis, host: 127.0.0.1, port: %s, ssl: true, ssl_ca_certs: %q}", port,
			ca.CAFile),
		"unverified": fmt.Sprintf("cache: true, cache_params: {type: redis, host: 127.0.0.1, port: %s, ssl: true, ssl_cert_reqs: none}", port),
		"two places": fmt.Sprintf("redis_url: \"rediss://%s\", redis_ssl_ca_certs: %q, cache: true, cache_params: {type: redis}",
			server.Addr, ca.CAFile),
		"a cluster": fmt.Sprintf("cache: true, cache_params: {type: redis, redis_startup_nodes: [%q], ssl: true, ssl_ca_certs: %q}",
			nodes[1].Addr, ca.CAFile),
		"sentinels": fmt.Sprintf("cache: true, cache_params: {type: redis, sentinel_nodes: [%q], service_name: mymaster, ssl: true, "+
			"ssl_ca_certs: %q}", sentinel.Addr, ca.CAFile),
	} {
		t.Run(name, func(t *testing.T) {
			p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			config := "model_list:\n" + gatewaytest.Entry("m", p.Base(), ", rpm: 3") + "general_settings: {redis_timeout: 2, " + settings + "}\n"
			a, b := gatewaytest.Start(t, config), gatewaytest.Start(t, config)
			question := func(text string) string { return strings.Replace(gatewaytest.Ask, "hi", name+text, 1) }
			a.Post("/v1/chat/completions", question(""))
			asynctest.Await(t, "the other replica has the answer", func() bool {
				return b.Post("/v1/chat/completions", gatewaytest.With(`"cache":{"no-store":true}`,
					question(""))).Header.Get("X-Isthmus-Cache") == "hit"
			})
			var last *gatewaytest.Answer
			for i := range 4 {
				last = []*gatewaytest.Gateway{a, b}[i%2].Post("/v1/chat/completions", question(fmt.Sprint(i)))
			}
			gatewaytest.ExpectRefusal(t, last, "rate_limit_exceeded")
			if n := len(p.Calls()); n != 3 {
				t.Errorf("%d calls passed, the limit is 3", n)
			}
			for _, s := range []*gatewaytest.Gateway{a, b} {
				if log := s.Stderr.String(); strings.Contains(log, "redis does not answer") {
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
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	config := "model_list:\n" + gatewaytest.Entry("m", p.Base(), ", rpm: 5") +
		fmt.Sprintf(
			"general_settings: {redis_timeout: 2, cache: true, cache_params: {type: redis, url: \"rediss://:canary@%s\", ssl_ca_certs: %q}}\n",
			server.Addr,
			ours.CAFile,
		)
	s := gatewaytest.Start(t, config)
	for range 5 {
		if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || got.Header.Get("X-Isthmus-Cache") != "miss" {
			t.Errorf("%d %v", got.Status, got.Header)
		}
	}
	gatewaytest.ExpectRefusal(t, s.Post("/v1/chat/completions", gatewaytest.Ask), "rate_limit_exceeded")
	log := s.Stderr.String()
	if strings.Count(log, "redis does not answer") != 1 || !strings.Contains(log, "certificate signed by unknown authority") ||
		strings.Contains(log, "canary") {
		t.Errorf("log: %s", log)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), []string{"cache", "ping", "--config", path}, &out, &errs)
	if code != 1 || !strings.Contains(errs.String(), "unknown authority") || strings.Contains(errs.String(), "canary") {
		t.Errorf("cache ping: %d %s %s", code, &out, &errs)
	}
}
