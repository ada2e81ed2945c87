package requests

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestAnErrorWithStatus200IsAnErrorForTheClientAndForTheDeployment as far as it can
// be told before the answer goes on: it has a length, as servers' errors have.
func TestAnErrorWithStatus200IsAnErrorForTheClientAndForTheDeployment(t *testing.T) {
	say := func(body string) *gatewaytest.Provider {
		return gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		})
	}
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+
		gatewaytest.Entry("error", say(`{"error":{"message":"overloaded","code":503}}`).Base(),
			", order: 1, allowed_fails: 1, cooldown_time: 60")+gatewaytest.Entry("error", good.Base(), ", order: 2")+
		gatewaytest.Entry("empty", say("").Base(), "")+gatewaytest.Entry("torn", say(gatewaytest.GoodAnswer[:40]).Base(), ""))
	for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
		for model, status := range map[string]int{"empty": 502, "torn": 502} {
			got := s.Post("/v1/chat/completions", strings.Replace(body, `"m"`, `"`+model+`"`, 1))
			if got.Status != status || got.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %v %q", model, got.Status, got.Header, got.Body)
			} else {
				gatewaytest.ErrorOf(t, got)
			}
		}
	}
	failed := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, `"m"`, `"error"`, 1))
	if _, _, _, message := gatewaytest.ErrorOf(t, failed); failed.Status != 503 || message != "overloaded" {
		t.Errorf("an error object: %d %s", failed.Status, failed.Body)
	}
	s.RequestLog(5) // the deployment rests by then
	got := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, `"m"`, `"error"`, 1))
	if got.Status != 200 || got.Body != gatewaytest.GoodAnswer || got.Header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("after it: %d %s", got.Status, got.Body)
	}
	s.Idle()
}

// TestAnEnvoyBeforeTheProviderDoesNotKeepOursFromGoingOn: these headers are meant
// for the Envoys of its own mesh.
func TestAnEnvoyBeforeTheProviderDoesNotKeepOursFromGoingOn(t *testing.T) {
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	for _, header := range []string{"X-Envoy-Ratelimited", "X-Envoy-Overloaded"} {
		limited := gatewaytest.NewProvider(t, gatewaytest.FailWith(429, header, "true"))
		s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", limited.Base(), ", order: 1")+
			gatewaytest.Entry("m", good.Base(), ", order: 2"))
		if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "2" {
			t.Errorf("%s: %d %s", header, got.Status, got.Body)
		}
		s.Idle()
	}
}
