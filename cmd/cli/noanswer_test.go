package cli

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// TestWhatIsNoAnswerEndsAtOnce, although its provider holds the connection or streams
// on: the client gets the whole error, the provider is left alone, and the attempt's
// slot is free.
func TestWhatIsNoAnswerEndsAtOnce(t *testing.T) {
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			left := make(chan string, 16)
			say := func(kind, text string, flood bool) *provider {
				return newProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
					w.Header().Set("Content-Type", kind)
					fmt.Fprint(w, text)
					flush(w)
					tick := time.NewTicker(5 * time.Millisecond)
					defer tick.Stop()
					for r.Context().Err() == nil {
						select {
						case <-tick.C:
							if flood {
								fmt.Fprint(w, text)
								flush(w)
							}
						case <-r.Context().Done():
						}
					}
					left <- kind
				})
			}
			const slot = ", max_parallel_requests: 1"
			s := startStack(t, "model_list:\n"+
				entry("portal", say("text/html", "<html>", false).base(), slot)+
				entry("stream", say("text/event-stream", "data: {}\n\n", false).base(), slot)+
				entry("flood", say("text/event-stream", "data: {}\n\n", true).base(), slot)+
				"router_settings: {num_retries: 0, cooldown_time: 0}\n", "--envoy", envoytest.Envoy(t, release).Path, "--concurrency", "1")
			for i, tc := range []struct{ model, body string }{
				{"portal", ask}, {"portal", askStream}, {"stream", ask}, {"flood", ask}, {"flood", ask},
			} {
				got := s.post("/v1/chat/completions", named(tc.model, tc.body))
				if got.err != nil || got.status != http.StatusBadGateway {
					t.Fatalf("%s: %d %s, %v", tc.model, got.status, got.body, got.err)
				}
				if _, code, _, _ := errorOf(t, got); code != "invalid_answer" {
					t.Errorf("%s: %s", tc.model, got.body)
				}
				select {
				case <-left:
				case <-time.After(30 * time.Second):
					t.Fatalf("%s: its provider goes on", tc.model)
				}
				s.settled(i + 1)
			}
		})
	}
}
