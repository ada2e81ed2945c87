package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTheStatusPageInABrowser has a real Envoy make requests, of which some fail,
// and a real browser look at them: testdata/browser/status.mjs.
func TestTheStatusPageInABrowser(t *testing.T) {
	slow := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		time.Sleep(20 * time.Millisecond) // a provider that thinks
		openAI(w, r, body)
	})
	config := "model_list:\n" +
		entry("m", newProvider(t, failWith(500)).base(), ", order: 1") + entry("m", slow.base(), ", order: 2, rpm: 100, tpm: 10000") +
		entry("broken", refused(t), "") +
		"router_settings: {num_retries: 2, retry_after: 0, allowed_fails: 1, cooldown_time: 300, model_group_alias: {chain: [broken, m]}}\n" +
		"litellm_settings: {cache: true, cache_params: {type: local}}\n" +
		"general_settings: {master_key: " + gatewayKey + ", max_parallel_requests: 40, tenant_header: x-team, tenant_limits: {rpm: 70}, model_group_limits: {m: {tpm: 9000}}}\n"
	s := startStack(t, config)
	key := []string{"Authorization", "Bearer " + gatewayKey, "x-team", "search"}
	// In this order: the first finds the deployment that fails, and cools it down.
	for _, tc := range []struct {
		model string
		want  int
	}{{"m", 200}, {"chain", 200}, {"nothing", 404}} {
		if got := s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"`+tc.model+`"`, 1), key...); got.status != tc.want {
			t.Errorf("%s: %d %s", tc.model, got.status, got.body)
		}
	}
	s.post("/v1/chat/completions", ask, key...)
	s.runScript(t, node(t), "../browser/status.mjs")
}
