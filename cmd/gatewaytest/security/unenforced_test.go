package security

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// restrictingModels is a config that restricts in two ways.
func restrictingModels(models string) string {
	return "model_list:\n" + models + "general_settings: {allowed_ips: [10.0.0.1]}\nguardrails: [{guardrail_name: pii}]\n"
}

// TestAGatewayThatGoesOnWithoutARestrictionSaysSo at its start, on the status page
// and in /health, also when a reload brings it; a reload that restricts more is
// refused.
func TestAGatewayThatGoesOnWithoutARestrictionSaysSo(t *testing.T) {
	t.Parallel()
	up := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	models := gatewaytest.Entry("m", up.Base(), "")
	s := gatewaytest.Start(t, restrictingModels(models), "--allow-unenforced", "allowed_ips,guardrails")
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	if log := s.Stderr.String(); !strings.Contains(log, "does not enforce them") || !strings.Contains(log, "allowed_ips") {
		t.Errorf("the log says nothing: %s", log)
	}
	health := func() string { return s.AdminGet("/health") }
	if got := health(); !strings.Contains(got, `"unenforced":["allowed_ips","guardrails"]`) {
		t.Errorf("/health: %s", got)
	}
	if got := s.AdminGet("/status/snapshot"); !strings.Contains(got, `"unenforced"`) || !strings.Contains(got, `"allowed_ips"`) {
		t.Errorf("the status page: %s", got)
	}
	s.Write("config.yaml", restrictingModels(models)+"policies: {a: {}}\n", gatewaytest.RefusedReload)
	s.Reconfigure("model_list:\n" + models + "general_settings: {allowed_ips: [10.0.0.2]}\n")
	if got := health(); !strings.Contains(got, `"unenforced":["allowed_ips"]`) {
		t.Errorf("/health after a reload: %s", got)
	}
}
