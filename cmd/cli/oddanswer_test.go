package cli

import "testing"

// TestAnEnvoyBeforeTheProviderDoesNotKeepOursFromGoingOn: these headers are meant
// for the Envoys of its own mesh.
func TestAnEnvoyBeforeTheProviderDoesNotKeepOursFromGoingOn(t *testing.T) {
	good := newProvider(t, openAI)
	for _, header := range []string{"X-Envoy-Ratelimited", "X-Envoy-Overloaded"} {
		limited := newProvider(t, failWith(429, header, "true"))
		s := startStack(t, "model_list:\n"+entry("m", limited.base(), ", order: 1")+entry("m", good.base(), ", order: 2"))
		if got := s.post("/v1/chat/completions", ask); got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "2" {
			t.Errorf("%s: %d %s", header, got.status, got.body)
		}
		s.idle()
	}
}
