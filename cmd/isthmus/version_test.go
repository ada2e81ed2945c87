package main

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// TestOlderEnvoysWalkTheirFixedOrders runs the same scenarios on the Envoys that
// released Istios have.
func TestOlderEnvoysWalkTheirFixedOrders(t *testing.T) {
	for _, version := range []string{"1.37.0", "1.38.3", "1.39.3", "1.40.0"} {
		t.Run(version, func(t *testing.T) {
			binary, err := process.Finder{Fetch: true, Version: version}.Find(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			good := newProvider(t, openAI)
			s := startStack(t, "model_list:\n"+
				entry("m", newProvider(t, failWith(500)).base(), ", order: 1")+entry("m", refused(t), ", order: 2")+entry("m", good.base(), ", order: 3")+
				entry("last", good.base(), "")+entry("broken", newProvider(t, failWith(503)).base(), "")+
				"router_settings: {num_retries: 2, cooldown_time: 0, fallbacks: [{broken: [last]}]}\n", "--envoy", binary.Path)
			for _, body := range []string{ask, askStream} {
				got := s.post("/v1/chat/completions", body)
				if got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "3" {
					t.Errorf("retries: %d after %s attempts: %s", got.status, got.header.Get("X-Isthmus-Attempts"), got.body)
				}
			}
			got := s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"broken"`, 1))
			if got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "4" || got.header.Get("X-Isthmus-Fallbacks") != "1" {
				t.Errorf("cascade: %d %v %s", got.status, got.header, got.body)
			}
			got = s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"nope"`, 1))
			if got.status != 404 {
				t.Errorf("unknown model: %d %s", got.status, got.body)
			}
			s.idle()
		})
	}
}
