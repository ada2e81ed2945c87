package main

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// TestEveryEnvoyServesTheSameScenarios runs `isthmus run` on each Envoy that is
// supported: the Envoys of released Istios walk fixed orders.
func TestEveryEnvoyServesTheSameScenarios(t *testing.T) {
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			c := newScenarios(t)
			s := startStack(t, c.config, "--envoy", envoytest.Envoy(t, release).Path, "--concurrency", "1")
			c.run(t, s, strings.HasPrefix(release, "1.36."))
		})
	}
}
