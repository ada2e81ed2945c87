package routing

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestOneClientsOwnFaultTakesNoDeploymentOut: the provider answers one prompt with a
// status that otherwise speaks against the deployment. The client gets what the error
// is, and the next request is served by the same deployments.
func TestOneClientsOwnFaultTakesNoDeploymentOut(t *testing.T) {
	for name, tc := range map[string]struct {
		status   int
		body     string
		attempts string
		want     int
		code     string
	}{
		"a flagged prompt": {403, `{"error":{"message":"no","code":403,"metadata":{"reasons":["a"],"flagged_input":"x"}}}`, "1", 400,
			`"code":"content_filter"`},
		"an image without projector": {500, `{"error":{"code":500,"message":"image input is not supported - hint: x","type":"server_error"}}`,
			"2", 400, `"type":"invalid_request_error"`},
		"more than a minute's quota": {429, `{"error":{"message":"Request too large for m on tokens per min (TPM)","type":"tokens",` +
			`"code":"rate_limit_exceeded"}}`, "2", 429, `"code":"rate_limit_exceeded"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuse := func(w http.ResponseWriter, _ *http.Request, body string) {
				w.Header().Set("Content-Type", "application/json")
				if !strings.Contains(body, "mistake") {
					fmt.Fprint(w, `{"id":"1","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":`+
						`{"role":"assistant","content":"hi"}}]}`)
					return
				}
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			}
			one, two := gatewaytest.NewProvider(t, refuse), gatewaytest.NewProvider(t, refuse)
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", one.Base(), "")+gatewaytest.Entry("m", two.Base(), "")+
				"router_settings: {num_retries: 1, allowed_fails: 1, cooldown_time: 300}\n")
			got := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, "hi", "mistake", 1))
			if got.Status != tc.want || !strings.Contains(got.Body, tc.code) || got.Header.Get("X-Isthmus-Attempts") != tc.attempts {
				t.Errorf("%d after %s attempts: %s", got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Body)
			}
			if health := s.AdminGet("/health"); strings.Contains(health, `"cooldown_until"`) {
				t.Errorf("a deployment cools: %s", health)
			}
			if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 {
				t.Errorf("the next request: %d %s", got.Status, got.Body)
			}
		})
	}
}
