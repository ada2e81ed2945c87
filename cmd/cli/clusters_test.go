package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// withTimeouts is a loaded configuration of the deployments a and b.
func withTimeouts(t *testing.T, a, b string) *loaded {
	t.Helper()
	c, _, err := config.Parse("config.yaml", []byte(`model_list:
- {model_name: m, litellm_params: {model: openai/a, api_base: "http://a.test/v1", api_key: sk-a, timeout: `+a+`}, model_info: {id: a}}
- {model_name: m, litellm_params: {model: openai/b, api_base: "http://b.test/v1", api_key: sk-b, timeout: `+b+`}, model_info: {id: b}}
`), config.Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	router, err := routing.New(c, routing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &loaded{config: c, router: router}
}

// A request that runs under the configuration before may still come to its clusters.
func TestTheClustersOfTheConfigurationBeforeStayWhileRequestsRunUnderIt(t *testing.T) {
	unequal, equal, other := withTimeouts(t, "2", "30"), withTimeouts(t, "30", "30"), withTimeouts(t, "30", "4")
	for name, tc := range map[string]struct {
		live []*loaded
		want map[string]time.Duration // of the stream clusters
	}{
		"unequal times":             {[]*loaded{unequal}, map[string]time.Duration{"deployment/a/a.test:80/stream": 2 * time.Second}},
		"equal ones":                {[]*loaded{equal}, map[string]time.Duration{}},
		"equal ones behind unequal": {[]*loaded{unequal, equal}, map[string]time.Duration{"deployment/a/a.test:80/stream": 2 * time.Second}},
		"the other way round behind": {[]*loaded{unequal, other}, map[string]time.Duration{
			"deployment/a/a.test:80/stream": 2 * time.Second, "deployment/b/b.test:80/stream": 4 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]time.Duration{}
			in := union(tc.live, envoy.Default)
			for _, u := range in.Upstreams {
				if u.StreamCluster != "" {
					got[u.StreamCluster] = u.StreamTimeout
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || len(in.Upstreams) != 2 {
				t.Errorf("%d deployments; stream clusters (-want +got):\n%s", len(in.Upstreams), diff)
			}
		})
	}
}

// Who runs the Envoy is told of every cluster that it lacks, once.
func TestTheClustersThatAnEnvoyOfSomebodyElseLacksAreNamedOnce(t *testing.T) {
	known := newExternalClusters(withTimeouts(t, "30", "30"), nil)
	changed := withTimeouts(t, "2", "30")
	if diff := cmp.Diff([]string{"deployment/a/a.test:80/stream"}, known.learn(changed)); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
	if again := known.learn(changed); len(again) > 0 {
		t.Errorf("named again: %v", again)
	}
}
