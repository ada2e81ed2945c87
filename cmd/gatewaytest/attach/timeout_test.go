package attach

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// TestEachDeploymentsOwnTimeoutHoldsForItsOwnAttempt in cascades in which another one
// has ten minutes, before it or behind it. A provider that hangs does so until its
// request is cancelled.
func TestEachDeploymentsOwnTimeoutHoldsForItsOwnAttempt(t *testing.T) {
	t.Parallel()
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			var cancelled atomic.Int64
			hangs := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
				gatewaytest.Hang(w, r, body)
				cancelled.Add(1)
			}).Base()
			good, refuses := gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), gatewaytest.RefusedAddress(t)
			s := gatewaytest.Start(t, "model_list:\n"+
				gatewaytest.Entry("sister", hangs, ", order: 1, timeout: 1")+gatewaytest.Entry("sister", good, ", order: 2")+
				gatewaytest.Entry("group", hangs, ", timeout: 1, num_retries: 0")+gatewaytest.Entry("good", good, "")+
				gatewaytest.Entry("last", refuses, ", order: 1")+gatewaytest.Entry("last", hangs, ", order: 2, timeout: 1")+
				gatewaytest.Entry("modes", hangs, ", order: 1, timeout: 600, stream_timeout: 1")+gatewaytest.Entry("modes", good, ", order: 2")+
				"router_settings: {num_retries: 1, cooldown_time: 0, retry_budget_percent: 1000, fallbacks: [{group: [good]}]}\n"+
				"litellm_settings: {set_verbose: true}\n",
				"--envoy", envoytest.Envoy(t, release).Path, "--concurrency", "1")
			cases := map[string]struct {
				model, body string
				status      int
				timedOut    int // which of the two attempts
			}{
				"the next of the group answers":          {"sister", gatewaytest.Ask, 200, 1},
				"the next of the group streams":          {"sister", gatewaytest.AskStream, 200, 1},
				"the next group answers":                 {"group", gatewaytest.Ask, 200, 1},
				"the next group streams":                 {"group", gatewaytest.AskStream, 200, 1},
				"the last attempt ends":                  {"last", gatewaytest.Ask, 504, 2},
				"the last attempt of a stream ends":      {"last", gatewaytest.AskStream, 504, 2},
				"a stream has its stream_timeout":        {"modes", gatewaytest.AskStream, 200, 1},
				"the request's own time is shorter":      {"modes", gatewaytest.With(`"timeout":4`, gatewaytest.Ask), 200, 1},
				"that of a stream ends the last attempt": {"last", gatewaytest.With(`"timeout":1`, gatewaytest.AskStream), 504, 2},
			}
			var asking sync.WaitGroup // at once: each waits for a second
			for name, tc := range cases {
				asking.Go(func() {
					got := s.Post("/v1/chat/completions", gatewaytest.ForModel(tc.model, tc.body))
					details := strings.Split(got.Header.Get("X-Isthmus-Attempt-Details"), ", ")
					if got.Status != tc.status || got.Err != nil || len(details) != 2 ||
						!strings.Contains(details[tc.timedOut-1], `why="no answer in time"`) {
						t.Errorf("%s: %d, %v, attempts %q: %s", name, got.Status, got.Err, details, got.Body)
					}
				})
			}
			asking.Wait()
			asynctest.Await(t, "each attempt is cancelled at its provider", func() bool { return cancelled.Load() == int64(len(cases)) })
			s.Idle()
		})
	}
}

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
