package callbacks

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestAStreamThatTheClientLeftIsCounted lets a client leave after a hundred words
// of an answer whose provider has not said what they cost.
func TestAStreamThatTheClientLeftIsCounted(t *testing.T) {
	t.Parallel()
	piece := fmt.Sprintf("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", strings.Repeat("word ", 100))
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if !strings.Contains(body, `"stream":true`) {
			gatewaytest.OpenAI(w, r, body)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, piece)
		gatewaytest.Flush(w)
		<-r.Context().Done()
	})
	b := gatewaytest.NewWebhook(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", tpm: 80, num_retries: 0")+
		fmt.Sprintf("general_settings: {callbacks: [webhook], webhook_url: %q}\n", b.URL), "--concurrency", "1")
	resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.AskStream))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, len(piece))); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()

	asynctest.Await(t, "its record has come", func() bool { _, records := b.Records(t); return len(records) == 1 })
	s.RequestLog(1)
	_, records := b.Records(t)
	r := records[0]
	if r.CompletionTokens < 100 || r.PromptTokens < 1 || !r.TokensEstimated || r.Aborted != "client" || r.Status != "success" ||
		!strings.Contains(string(r.Response), "word word") {
		t.Errorf("record: %+v", r)
	}
	if n := completionTokens(t, s); n != records[0].CompletionTokens {
		t.Errorf("the metrics have %d tokens, the record %d", n, records[0].CompletionTokens)
	}
	n := s.Metric(`isthmus_deployment_minute_used{deployment="` + records[0].ModelID + `",kind="tokens",model_group="m",provider="openai"}`)
	if int64(n) != records[0].TotalTokens {
		t.Errorf("the deployment has used %v tokens, the record has %d", n, records[0].TotalTokens)
	}
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 429 {
		t.Errorf("the limit of 80 tokens a minute is not reached by %d: %d %s", records[0].TotalTokens, got.Status, got.Body)
	}
}

var completionSample = regexp.MustCompile(`(?m)^litellm_output_tokens_metric_total\{[^}]*\} (\d+)$`)

// completionTokens is the number that the metrics show.
func completionTokens(t *testing.T, s *gatewaytest.Gateway) int64 {
	t.Helper()
	m := completionSample.FindStringSubmatch(s.AdminGet("/metrics"))
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
