package routing

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// Names with stars kept a processor busy for ever, and the start itself told people
// to send one.
func TestWildcardsServeNamesFallBackAndAreLimited(t *testing.T) {
	up, back := gatewaytest.NewProvider(t, gatewaytest.OpenAI), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	down := gatewaytest.NewProvider(t, gatewaytest.FailWith(500))
	s := gatewaytest.Start(t, "model_list:\n"+
		"- model_name: up/*\n  litellm_params: {model: openai/*, api_key: k, api_base: \""+up.Base()+"\"}\n"+
		"- model_name: down/*\n  litellm_params: {model: openai/*, api_key: k, api_base: \""+down.Base()+"\"}\n"+
		"- model_name: back/*\n  litellm_params: {model: openai/b-*, api_key: k, api_base: \""+back.Base()+"\"}\n"+
		"router_settings: {num_retries: 0, fallbacks: [{'down/*': ['back/*']}], model_group_limits: {'up/*': {rpm: 3}, up/x: {rpm: 1}}}\n")
	if !strings.Contains(s.Stdout.String(), `"model": "up/gpt-4o-mini"`) {
		t.Errorf("the start says:\n%s", s.Stdout)
	}
	ask := func(model, more string) *gatewaytest.Answer {
		return s.Post("/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"hi"}]`+more+`}`)
	}
	last := func(p *gatewaytest.Provider) string {
		calls := p.Calls()
		if len(calls) == 0 {
			return ""
		}
		return calls[len(calls)-1].Body
	}
	if a := ask("up/*", ""); a.Status != 200 || !strings.Contains(last(up), `"model":"*"`) {
		t.Errorf("a name with a star: %d, the provider got %s", a.Status, last(up))
	}
	if a := ask("down/a", `,"fallbacks":["up/**"]`); a.Status != 200 || !strings.Contains(last(up), `"model":"**"`) {
		t.Errorf("a fallback with stars: %d, the provider got %s", a.Status, last(up))
	}
	if a := ask("down/a", ""); a.Status != 200 || !strings.Contains(last(back), `"model":"b-a"`) {
		t.Errorf("the fallback of a wildcard: %d, the provider got %s", a.Status, last(back))
	}
	if a := ask("up/x", ""); a.Status != 200 {
		t.Errorf("a name with limits of its own: %d", a.Status)
	}
	gatewaytest.ExpectRefusal(t, ask("up/x", ""), "rate_limit_exceeded")
	if a := ask("up/y", ""); a.Status != 200 {
		t.Errorf("the third of the wildcard's three: %d", a.Status)
	}
	gatewaytest.ExpectRefusal(t, ask("up/y", ""), "rate_limit_exceeded")
}
