package requests

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

func TestTimeouts(t *testing.T) {
	t.Parallel()
	stall := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
		gatewaytest.Flush(w)
		<-r.Context().Done()
	})
	never, good := gatewaytest.NewProvider(t, gatewaytest.Hang), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+
		gatewaytest.Entry("hangs", never.Base(), ", order: 1, timeout: 0.7")+gatewaytest.Entry("hangs", good.Base(), ", order: 2")+
		gatewaytest.Entry("stalls", stall.Base(), ", timeout: 1")+gatewaytest.Entry("never", never.Base(), ", timeout: 30")+
		gatewaytest.Entry("never", never.Base(), ", timeout: 30")+
		"router_settings: {num_retries: 2, request_timeout: 2}\n")
	stalls := asynctest.WatchStalls(t)
	for name, tc := range map[string]struct {
		body     string
		status   int
		min, max time.Duration
	}{
		"an attempt that hangs gives way after its timeout": {`{"model":"hangs"`, 200, 700 * time.Millisecond, 1500 * time.Millisecond},
		"a streaming one too": {`{"model":"hangs","stream":true`, 200, 700 * time.Millisecond,
			1500 * time.Millisecond},
		"the request's own timeout comes first": {`{"model":"hangs","timeout":0.3`, 200, 300 * time.Millisecond,
			650 * time.Millisecond},
		// A tenth sooner than Envoy would cut it.
		"a stream that stalls ends": {`{"model":"stalls","stream":true`, 200, 900 * time.Millisecond,
			1100 * time.Millisecond},
		"all attempts end with the request's whole time": {`{"model":"never"`, 504, 2 * time.Second, 2100 * time.Millisecond},
		"those of a stream that has not begun too": {`{"model":"never","stream":true`, 504, 2 * time.Second,
			2100 * time.Millisecond},
		"and a retry of a shorter timeout does not outlive it": {`{"model":"never","stream":true,"timeout":0.8`, 504, 1900 * time.Millisecond,
			2100 * time.Millisecond},
		"whichever of the attempts is running when it is spent": {`{"model":"never","timeout":0.8`, 504, 1900 * time.Millisecond,
			2100 * time.Millisecond},
	} {
		var got *gatewaytest.Answer
		var took, late time.Duration
		fits := false
		for try := 0; try < 5 && !fits; try++ { // what a late machine spoils is tried again
			clock := stalls.Clock()
			got = s.Post("/v1/chat/completions", tc.body+`,"messages":[{"role":"user","content":"hi"}]}`)
			took, late = clock()
			// Envoy's timers count from when its loop last looked at the clock.
			if fits = got.Status == tc.status && took >= tc.min-20*time.Millisecond-late &&
				(took <= tc.max+late || !testring.JudgesTimes()); late < 20*time.Millisecond {
				break
			}
		}
		if !fits {
			t.Errorf("%s: %d after %s (the machine was late by %s), want %d after %s to %s: %s", name, got.Status, took, late, tc.status, tc.min,
				tc.max, got.Body)
		}
		if tc.status == 504 && !strings.Contains(got.Body, `"type":"timeout_error"`) {
			t.Errorf("%s: body %s", name, got.Body)
		}
	}
	s.Idle()
}

// TestSoakAStreamMayRunForLongerThanItsTimeout: that bounds its first byte and the gaps
// between bytes, also beside a deployment with a longer one.
func TestSoakAStreamMayRunForLongerThanItsTimeout(t *testing.T) {
	testring.Soak(t, "a stall of the machine would be a gap in the stream")
	drips := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 20 {
			fmt.Fprint(w, gatewaytest.FirstPiece)
			gatewaytest.Flush(w)
			time.Sleep(100 * time.Millisecond)
		}
		gatewaytest.OpenAI(w, r, body)
	}).Base()
	for name, other := range map[string]string{"alone": ", timeout: 1", "beside a longer one": ""} {
		s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", drips, ", order: 1, timeout: 1")+
			gatewaytest.Entry("m", drips, ", order: 2"+other))
		got := s.Post("/v1/chat/completions", gatewaytest.AskStream)
		if got.Status != 200 || got.Err != nil || !strings.HasSuffix(got.Body, "data: [DONE]\n\n") ||
			got.Header.Get("X-Isthmus-Attempts") != "1" {
			t.Errorf("%s: %d, %v: %s", name, got.Status, got.Err, got.Body)
		}
		s.Idle()
	}
}

// TestTheClientsOwnTimeoutMayBeLongerThanTheConfiguredOnes: a request that says
// how long it waits is waited for as long.
func TestTheClientsOwnTimeoutMayBeLongerThanTheConfiguredOnes(t *testing.T) {
	t.Parallel()
	slow := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		select {
		case <-time.After(1200 * time.Millisecond):
			gatewaytest.OpenAI(w, r, body)
		case <-r.Context().Done():
		}
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", slow.Base(), ", timeout: 0.5")+"router_settings: {num_retries: 0}\n")
	for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
		if got := s.Post("/v1/chat/completions", body); got.Status != 504 {
			t.Errorf("without one: %d %s", got.Status, got.Body)
		}
		if got := s.Post("/v1/chat/completions", strings.Replace(body, "{", `{"timeout":5,`, 1)); got.Status != 200 {
			t.Errorf("with one: %d %s", got.Status, got.Body)
		}
	}
	s.Idle()
}

// TestWhenNobodyAnswersInTimeTheClientIsToldSo also where Envoy may try more often
// than there are deployments to try, and says of the end of the plan that there
// is no host.
func TestWhenNobodyAnswersInTimeTheClientIsToldSo(t *testing.T) {
	t.Parallel()
	never := gatewaytest.NewProvider(t, gatewaytest.Hang)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", never.Base(), ", timeout: 0.3")+
		gatewaytest.Entry("other", gatewaytest.RefusedAddress(t), "")+
		"router_settings: {num_retries: 0, context_window_fallbacks: [{m: [other]}]}\n")
	got := s.Post("/v1/chat/completions", gatewaytest.Ask)
	if got.Status != 504 || !strings.Contains(got.Body, `"code":"upstream_timeout"`) || got.Header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("%d after %s attempts: %s", got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Body)
	}
	if got := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, `"m"`, `"other"`, 1)); got.Status != 503 {
		t.Errorf("nobody could be reached: %d %s", got.Status, got.Body)
	}
	s.Idle()
}

// TestAnAnswerThatStallsInItsBodyEndsWithItsTimeout: what has begun cannot be asked of
// another. What is read whole before it goes on becomes an error, the rest is cut.
func TestAnAnswerThatStallsInItsBodyEndsWithItsTimeout(t *testing.T) {
	t.Parallel()
	half := func(content string, header ...string) string {
		return gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
			w.Header().Set("Content-Type", "application/json")
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			fmt.Fprint(w, content[:len(content)/2])
			gatewaytest.Flush(w)
			gatewaytest.Hang(w, r, body)
		}).Base()
	}
	long := gatewaytest.GoodAnswer + strings.Repeat(" ", 100<<10)
	s := gatewaytest.Start(t, "model_list:\n"+
		gatewaytest.Entry("short", half(gatewaytest.GoodAnswer, "Content-Length", strconv.Itoa(len(gatewaytest.GoodAnswer))), ", timeout: 4")+
		gatewaytest.Entry("chunked", half(gatewaytest.GoodAnswer), ", timeout: 4")+
		gatewaytest.Entry("relayed", half(long, "Content-Length", strconv.Itoa(len(long))), ", timeout: 4")+
		"- model_name: translated\n  litellm_params: {model: anthropic/up, api_key: sk-provider, api_base: '"+
		strings.TrimSuffix(half(`{"type":"message","content":[{"type":"text","text":"hi"}]}`), "/v1")+"', timeout: 4}\n")
	var all sync.WaitGroup
	for model, status := range map[string]int{"short": 504, "chunked": 504, "relayed": 200, "translated": 504} {
		all.Go(func() {
			got := s.Post("/v1/chat/completions", gatewaytest.ForModel(model, gatewaytest.Ask))
			told := strings.Contains(got.Body, `"type":"timeout_error"`)
			if got.Status != status || (got.Err != nil) != (status == 200) || told != (status == 504) {
				t.Errorf("%s: %d, %v: %s", model, got.Status, got.Err, got.Body)
			}
		})
	}
	all.Wait()
	for _, line := range s.RequestLog(4) {
		if line["aborted"] != "timeout" {
			t.Errorf("the log says that %v ended the answer: %v", line["aborted"], line)
		}
	}
	s.Idle()
}
