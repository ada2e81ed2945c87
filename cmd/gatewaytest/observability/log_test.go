package observability

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

func TestEachRequestIsOneLineThatSaysHowItWent(t *testing.T) {
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(), "")+
		gatewaytest.Entry("other", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), "")+
		"router_settings: {num_retries: 0, fallbacks: [{m: [other]}]}\nlitellm_settings: {cache: true}\n")
	s.Post("/v1/chat/completions", gatewaytest.AskStream)
	line := s.RequestLog(1)[0]
	for name, want := range map[string]any{
		"level": "INFO", "endpoint": "chat/completions", "model": "m", "model_group": "other", "provider": "openai", "status": 200.0,
		"attempts": 2.0, "fallbacks": 1.0,
		"prompt_tokens": 3.0, "completion_tokens": 2.0, "stream": true, "cache": "miss",
	} {
		if line[name] != want {
			t.Errorf("%s = %v, want %v", name, line[name], want)
		}
	}
	for _, name := range []string{"id", "ms", "ms_first_byte", "ms_first_token", "deployment", "attempt_details"} {
		if line[name] == nil {
			t.Errorf("the line has no %s: %v", name, line)
		}
	}
	if n := len(s.Logged(t, "request")); n != 1 || len(s.Logged(t, "plan")) != 0 {
		t.Errorf("%d lines:\n%s", n, s.Stderr)
	}
}

func TestVerboseTellsEachStepOfARequest(t *testing.T) {
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m",
		gatewaytest.NewProvider(t, gatewaytest.FailWith(429, "Retry-After", "5")).Base(), "")+
		gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(429, "Retry-After", "5")).Base(), "")+
		gatewaytest.Entry("other", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), "")+
		"router_settings: {num_retries: 0, fallbacks: [{m: [other]}]}\nlitellm_settings: {cache: true, set_verbose: true}\n")
	s.Post("/v1/chat/completions", gatewaytest.Ask)
	id := s.RequestLog(1)[0]["id"]
	var steps []string
	for line := range strings.SplitSeq(s.Stderr.String(), "\n") {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["id"] == id {
			steps = append(steps, fields["msg"].(string))
		}
	}
	want := []string{"cache", "plan", "attempt begins", "attempt", "cooldown", "another attempt", "attempt begins", "attempt", "request"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps = %q, want %q\n%s", steps, want, s.Stderr)
	}
}

// TestEveryMetricOfARunningGatewayIsDocumented reads the page after requests of
// several outcomes.
func TestEveryMetricOfARunningGatewayIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(),
		", rpm: 100")+gatewaytest.Entry("other", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), "")+
		gatewaytest.Entry("my-*", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), "")+
		"router_settings: {num_retries: 0, fallbacks: [{m: [other]}]}\nlitellm_settings: {cache: true}\n"+
		"general_settings: {max_parallel_requests: 10, enable_request_queue: true}\n")
	bodies := []string{
		gatewaytest.Ask,
		gatewaytest.Ask,
		gatewaytest.AskStream,
		strings.Replace(gatewaytest.Ask, `"m"`, `"a-client's-own-words"`, 1),
		strings.Replace(gatewaytest.Ask, `"m"`, `"my-secret-project"`, 1),
		"{",
	}
	for _, body := range bodies {
		s.Post("/v1/chat/completions", body)
	}
	s.RequestLog(len(bodies))
	page := s.AdminGet("/metrics")
	names := regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(page, -1)
	seen := 0
	for _, m := range names {
		if strings.HasPrefix(m[1], "go_") || strings.HasPrefix(m[1], "process_") {
			continue
		}
		if seen++; !strings.Contains(string(text), "| `"+m[1]+"` |") {
			t.Errorf("%s is not in docs/metrics.md", m[1])
		}
	}
	if seen < 40 {
		t.Errorf("only %d metrics are on the page", seen)
	}
	for _, words := range []string{"a-client", "my-secret"} {
		if strings.Contains(page, words) {
			t.Errorf("%q, which a client said, is on the page", words)
		}
	}
	for status, what := range map[string]string{"404": "for an unknown model", "400": "that are no JSON"} {
		if n := s.Metric(`isthmus_requests_total{deployment="",endpoint="chat/completions",model_group="",status="` + status + `"}`); n != 1 {
			t.Errorf("requests %s = %v", what, n)
		}
	}
	if !strings.Contains(page, `gen_ai_request_model="my-*"`) {
		t.Error("the wildcard's request is not under its name")
	}
	if n := s.Metric("isthmus_queue_capacity"); n != 1000 {
		t.Errorf("isthmus_queue_capacity = %v", n)
	}
}
