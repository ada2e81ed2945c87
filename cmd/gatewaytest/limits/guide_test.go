package limits

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

func TestTheGuidesLimitsPerModelDoWhatTheySay(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.Priced(60000, 1000))
	t.Setenv("OPENAI_BASE_URL", p.Base())
	t.Setenv("OPENAI_API_KEY", "sk-o")
	t.Setenv("GOOGLE_API_KEY", "AIza")
	s := gatewaytest.Start(t, gatewaytest.GuideBlock(t, "14-rate-limits-per-model.yaml"))
	first := s.Post("/v1/chat/completions", gatewaytest.ForModel("gpt-4o", gatewaytest.Ask))
	if h := first.Header; first.Status != 200 || h.Get("X-Ratelimit-Limit-Requests") != "500" || h.Get("X-Ratelimit-Limit-Tokens") != "90000" {
		t.Errorf("%d %v", first.Status, h)
	}
	s.RequestLog(1)
	s.Post("/v1/chat/completions", gatewaytest.ForModel("gpt-4o", gatewaytest.Ask)) // it may pass: what it will use is an estimate
	s.RequestLog(2)
	if got := s.Post("/v1/chat/completions", gatewaytest.ForModel("gpt-4o", gatewaytest.Ask)); got.Status != 429 || len(p.Calls()) > 2 {
		t.Errorf("after answers of 61000 tokens there is room in 90000: %d, %d calls", got.Status, len(p.Calls()))
	}
}

func TestTheGuidesGlobalLimitDoesWhatItSays(t *testing.T) {
	p := gatewaytest.NewGate(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.GuideBlock(t, "15-rate-limits-global.yaml"))
	answers := make(chan *gatewaytest.Answer, 130)
	for range 130 {
		go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask) }()
	}
	asynctest.Await(t, "all have come and 100 run",
		func() bool { return s.Streams("request") == 130 && len(p.Calls()) == 100 })
	p.Pass(t, 130)
	for range 130 {
		if got := <-answers; got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
	s.Idle()
}
