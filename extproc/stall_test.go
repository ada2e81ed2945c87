package extproc

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// TestAStreamIsEndedWhenItHasStalledAndNoSooner: each piece puts that off, though most do
// not set the timer anew.
func TestAStreamIsEndedWhenItHasStalledAndNoSooner(t *testing.T) {
	const gap, opening = 2 * time.Second, 9 * time.Second // a tenth of timeout before Envoy's
	content := func(n int) (all []string) {
		for range n {
			all = append(all, contentChunk)
		}
		return all
	}
	for name, tc := range map[string]struct {
		pieces []string
		every  time.Duration
		ends   time.Duration // after the last piece
		code   string        // of the error event at the end; "": none is added
	}{
		"before its first word":                   {nil, 0, opening, "stream_timeout"},
		"behind its role":                         {[]string{roleChunk, ": comment\n\n"}, 4 * time.Second, opening, "stream_timeout"},
		"behind its first word":                   {[]string{roleChunk, contentChunk}, 4 * time.Second, gap, "stream_timeout"},
		"behind many words, just in time":         {content(20), gap - time.Millisecond, gap, "stream_timeout"},
		"behind many words at once":               {content(20), 0, gap, "stream_timeout"},
		"behind its finish reason":                {[]string{contentChunk, finishChunk}, time.Second, gap, ""},
		"behind its last event":                   {[]string{contentChunk, "data: [DONE]\n\n"}, time.Second, endTime, ""},
		"behind its error, however long it lasts": {[]string{contentChunk, errorChunk}, time.Second, endTime, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, "model_list: [{model_name: m, litellm_params: {model: openai/up, api_base: 'http://a.test/v1', api_key: k, "+
					"timeout: 10, stream_idle_timeout: 2}}]\n")
				f := h.open(names.FilterRequest)
				h.begin(f, askStream)
				f.ask(responseHead(1, false, ":status", "200", "content-type", "text/event-stream"))
				for _, piece := range tc.pieces {
					time.Sleep(tc.every)
					f.in <- responsePiece(piece, false)
					synctest.Wait()
					for len(f.out) > 0 {
						if streamed := (<-f.out).GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse(); streamed.GetEndOfStream() {
							t.Fatalf("it is ended early: %s", streamed.GetBody())
						}
					}
				}
				last := time.Now()
				end := f.answer().GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
				if took := time.Since(last); took != tc.ends || !end.GetEndOfStream() {
					t.Errorf("it is ended after %s, want %s: %v", took, tc.ends, end)
				}
				if body := string(end.GetBody()); strings.Contains(body, `"error"`) != (tc.code != "") || !strings.Contains(body, tc.code) {
					t.Errorf("it ends with %s", body)
				}
				if err := f.close(); err != nil {
					t.Error(err)
				}
				h.nothingHeld()
			})
		})
	}
}
