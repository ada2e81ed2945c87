package attach

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// TestARetryOfTheSameDeploymentWaitsAsItAsks on all Envoys but 1.36, which tries each
// deployment once.
func TestARetryOfTheSameDeploymentWaitsAsItAsks(t *testing.T) {
	t.Parallel()
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			var calls, refused atomic.Int64 // refused: when, in nanoseconds
			limited := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
				if calls.Add(1)%2 == 1 {
					refused.Store(time.Now().UnixNano())
					gatewaytest.FailWith(429, "Retry-After", "2")(w, r, body)
					return
				}
				if paused := time.Duration(time.Now().UnixNano() - refused.Load()); testring.JudgesTimes() &&
					(paused < 1900*time.Millisecond || paused > 4*time.Second) {
					t.Errorf("asked again after %s", paused)
				}
				gatewaytest.OpenAI(w, r, body)
			})
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", limited.Base(), "")+"litellm_settings: {set_verbose: true}\n",
				"--envoy", envoytest.Envoy(t, release).Path, "--concurrency", "1")
			if strings.HasPrefix(release, "1.36.") {
				got := s.Post("/v1/chat/completions", gatewaytest.Ask)
				if got.Status != 429 || got.Header.Get("Retry-After") != "2" || calls.Load() != 1 {
					t.Errorf("%d with Retry-After %q after %d calls: %s", got.Status, got.Header.Get("Retry-After"), calls.Load(), got.Body)
				}
				return
			}
			for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
				got := s.Post("/v1/chat/completions", body)
				if got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "2" {
					t.Errorf("%d after %s attempts: %s", got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Body)
				}
			}
			paused := s.Logged(t, "another attempt")
			for _, line := range paused {
				if line["ms_pause"] != 2000.0 {
					t.Errorf("the log tells another pause: %v", line)
				}
			}
			if len(paused) != 2 {
				t.Errorf("the log tells %d retries, want 2", len(paused))
			}
			s.Idle()
		})
	}
}
