package routing_test

import (
	"path/filepath"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
)

// TestGoldenExchangesThroughTheModelConfig plays every provider's exchanges with
// a deployment read from a model config, as the gateway does.
func TestGoldenExchangesThroughTheModelConfig(t *testing.T) {
	dirs, err := filepath.Glob("../translate/*/testdata/exchanges")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no exchanges", err)
	}
	for _, dir := range dirs {
		list, err := translatetest.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			t.Run(x.Provider+"/"+x.Name, func(t *testing.T) {
				t.Parallel()
				hop := hopOf(t, x)
				x.Check(t, hop.Translator, hop.Deployment.BaseURL)
			})
		}
	}
}

// hopOf plans the exchange's request on a router of its one deployment.
func hopOf(t *testing.T, x *translatetest.Exchange) routing.Hop {
	t.Helper()
	text := []byte(`{"model_list":[{"model_name":"client-alias","litellm_params":` + string(x.Config) + `}]}`) // JSON is YAML
	c, _, err := config.Parse("config.yaml", text, config.Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	router, err := routing.New(c, routing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	req, err := x.Parsed()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := router.Plan(&routing.Call{Request: req})
	if err != nil {
		t.Fatal(err)
	}
	return plan.Hops[0]
}
