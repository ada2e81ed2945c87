package extproc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// series counts the series on the metrics page.
func (h *house) series() int {
	h.t.Helper()
	families, err := h.counts.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}

// TestNobodyMakesSeriesButTheConfiguration: whatever clients and providers call
// things, the metrics page does not grow.
func TestNobodyMakesSeriesButTheConfiguration(t *testing.T) {
	h := newHouse(t, wildcards+"general_settings: {master_key: sk-master-key}\n")
	h.runtime.Use(h.router, Settings{TenantHeader: "x-team"})
	round := func(i int) {
		made := fmt.Sprintf("made-up-%d", i)
		ask := func(path, body string, header ...string) {
			f := h.open(names.FilterRequest)
			fields := append(set(begun(), ":path", path),
				append([]string{"user-agent", made, "x-team", made, "x-litellm-tags", made, "x-litellm-trace-id", made}, header...)...)
			answer := f.ask(requestHeaders(false, fields...))
			if answer.GetImmediateResponse() == nil {
				answer = f.ask(requestBody(body))
			}
			if answer.GetImmediateResponse() == nil { // it went to a provider, which fails in words of its own
				f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json", "content-length", "99"))
				f.ask(responsePiece(`{"error":{"message":"`+made+`","type":"`+made+`","code":"`+made+`"},"model":"`+made+`"}`, true))
			}
			if err := f.close(); err != nil {
				t.Fatal(err)
			}
		}
		body := func(model string) string {
			return `{"model":"` + model + `","user":"` + made + `","messages":[{"role":"user","content":"hi"}]}`
		}
		ask("/v1/chat/completions", body(made))
		ask("/v1/chat/completions", body("up/"+made))
		ask("/v1/chat/completions", body("odd-"+made))
		ask("/"+made, body("x"))
		ask("/openai/deployments/"+made+"/chat/completions", body("x"))
		ask("/v1/chat/completions", strings.TrimSuffix(body("up/x"), "}")+`,"fallbacks":["`+made+`"]}`)
		ask("/v1/chat/completions", body("up/x"), ":method", strings.ToUpper(made))
		ask("/v1/chat/completions", body("up/x"), "authorization", made)
	}
	round(0)
	first := h.series()
	for i := 1; i < 40; i++ {
		round(i)
	}
	if n := h.series(); n != first || first < 50 {
		t.Errorf("%d series became %d", first, n)
	}
}
