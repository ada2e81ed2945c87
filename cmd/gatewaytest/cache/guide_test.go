package cache

import (
	"net"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

func TestTheGuidesRedisCacheDoesWhatItSays(t *testing.T) {
	server, p := storetest.Start(t), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	host, port, _ := net.SplitHostPort(server.Addr)
	t.Setenv("REDIS_HOST", host)
	t.Setenv("REDIS_PORT", port)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.GuideBlock(t, "09-cache-redis.yaml")+
		gatewaytest.PatientRedis)
	s.Post("/v1/chat/completions", gatewaytest.Ask)
	c := gatewaytest.NewRedisClient(t, server.Addr)
	asynctest.Await(t, "the answer is stored for an hour under litellm_cache", func() bool {
		keys := c.Keys(t.Context(), "litellm_cache:*").Val()
		return len(keys) == 1 && c.TTL(t.Context(), keys[0]).Val() > 3500*time.Second
	})
	misses := 1 // a busy machine's Redis is not always read in the 100 ms that a look-up may take
	asynctest.Await(t, "the second is a hit", func() bool {
		if s.Post("/v1/chat/completions", gatewaytest.Ask).Header.Get("X-Isthmus-Cache") == "hit" {
			return true
		}
		misses++
		return false
	})
	if n := len(p.Calls()); n != misses {
		t.Errorf("%d calls for %d misses", n, misses)
	}
	got := s.Post("/v1/chat/completions", gatewaytest.With(`"cache":false`, gatewaytest.Ask))
	if got.Header.Get("X-Isthmus-Cache") == "hit" || len(p.Calls()) != misses+1 {
		t.Errorf("cache=False: %v", got.Header)
	}
}

func TestTheGuidesLocalCacheDoesWhatItSays(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.GuideBlock(t, "10-cache-local.yaml"))
	s.Post("/v1/chat/completions", gatewaytest.Ask)
	if got := s.Post("/v1/chat/completions", gatewaytest.AskStream); got.Header.Get("X-Isthmus-Cache") != "hit" || len(p.Calls()) != 1 {
		t.Errorf("the second: %v", got.Header)
	}
}
