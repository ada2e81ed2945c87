package attach

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// TestEveryEnvoyServesTheSameScenarios runs `isthmus run` on each Envoy that is
// supported: the Envoys of released Istios walk fixed orders.
func TestEveryEnvoyServesTheSameScenarios(t *testing.T) {
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			c := newScenarios(t)
			s := gatewaytest.Start(t, c.config, "--envoy", envoytest.Envoy(t, release).Path, "--concurrency", "1")
			c.run(t, s, strings.HasPrefix(release, "1.36."))
		})
	}
}

// TestWhereEnvoyPassesOverADeploymentItsKeyStaysBehind: the aggregate cluster of
// 1.36 skips a deployment whose address is not known, at the first attempt too;
// the composite cluster and the plan of 1.40 end there.
func TestWhereEnvoyPassesOverADeploymentItsKeyStaysBehind(t *testing.T) {
	for release, status := range map[string]int{"1.36.4": 200, "1.37.0": 503, "1.40.0": 503} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			s := gatewaytest.Start(t, "model_list:\n- model_name: m\n"+
				"  litellm_params: {model: openai/other, api_key: sk-other, api_base: 'http://nowhere.invalid/v1', order: 1}\n"+
				gatewaytest.Entry("m", good.Base(), ", order: 2"), "--envoy", envoytest.Envoy(t, release).Path, "--concurrency", "1")
			got := s.Post("/v1/chat/completions", gatewaytest.Ask)
			if got.Status != status {
				t.Errorf("answer = %d %s", got.Status, got.Body)
			}
			for _, c := range good.Calls() {
				if c.Header.Get("Authorization") != "Bearer sk-provider" || !strings.Contains(c.Body, `"model":"up"`) ||
					c.Host != good.Listener.Addr().String() {
					t.Errorf("the provider got what was another's: %s %v %s", c.Host, c.Header, c.Body)
				}
			}
			s.Idle()
		})
	}
}
