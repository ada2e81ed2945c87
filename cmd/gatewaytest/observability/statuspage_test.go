package observability

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestTheStatusPageInABrowser has a real Envoy make requests, of which some fail,
// and a real browser look at them: testdata/browser/status.mjs.
func TestTheStatusPageInABrowser(t *testing.T) {
	testring.Program(t, "chromium")
	slow := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		time.Sleep(20 * time.Millisecond) // a provider that thinks
		gatewaytest.OpenAI(w, r, body)
	})
	config := "model_list:\n" +
		gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(), ", order: 1") +
		gatewaytest.Entry("m", slow.Base(), ", order: 2, rpm: 100, tpm: 10000") +
		gatewaytest.Entry("broken", gatewaytest.RefusedAddress(t), "") +
		"router_settings: {num_retries: 2, retry_after: 0, allowed_fails: 1, cooldown_time: 300, model_group_alias: {chain: [broken, m]}}\n" +
		"litellm_settings: {cache: true, cache_params: {type: local}}\n" +
		"general_settings: {master_key: " + gatewaytest.MasterKey +
		", max_parallel_requests: 40, tenant_header: x-team, tenant_limits: {rpm: 70}, model_group_limits: {m: {tpm: 9000}}}\n"
	s := gatewaytest.Start(t, config)
	key := []string{"Authorization", "Bearer " + gatewaytest.MasterKey, "x-team", "search"}
	// In this order: the first finds the deployment that fails, and cools it down.
	for _, tc := range []struct {
		model string
		want  int
	}{{"m", 200}, {"chain", 200}, {"nothing", 404}} {
		if got := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, `"m"`, `"`+tc.model+`"`, 1), key...); got.Status != tc.want {
			t.Errorf("%s: %d %s", tc.model, got.Status, got.Body)
		}
	}
	s.Post("/v1/chat/completions", gatewaytest.Ask, key...)
	s.RunNode(t, gatewaytest.Pinned, "browser/status.mjs")
}
