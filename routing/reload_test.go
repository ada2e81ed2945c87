package routing

import (
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/config"
)

// reloaded is the Router of a config, after the one of another.
func reloaded(t *testing.T, text string, previous *Router) *Router {
	t.Helper()
	c, _, err := config.Parse("config.yaml", []byte(text), config.Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(c, Options{Previous: previous})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestADeploymentThatStaysKeepsItsLoadAndHealthOverAReload(t *testing.T) {
	const (
		head    = "model_list:\n"
		first   = "- {model_name: m, model_info: {id: first}, litellm_params: {model: openai/up, api_base: 'http://one.test/v1', api_key: k1}}\n"
		renamed = "- {model_name: other, model_info: {id: first}, litellm_params: {model: openai/up, api_base: 'http://one.test/v1', " +
			"api_key: k1, rpm: 7}}\n"
		sister = "- {model_name: m, model_info: {id: sister}, litellm_params: {model: openai/up, api_base: 'http://two.test/v1', api_key: k2}}\n"
	)
	for name, tc := range map[string]struct {
		next  string
		stays bool
	}{
		"the same entry":                      {first, true},
		"in another group, with other limits": {renamed, true},
		"another key": {"- {model_name: m, model_info: {id: first}, litellm_params: {model: openai/up, api_base: " +
			"'http://one.test/v1', api_key: new}}\n", false},
		"another address": {"- {model_name: m, model_info: {id: first}, litellm_params: {model: openai/up, api_base: " +
			"'http://three.test/v1', api_key: k1}}\n", false},
		"another model": {"- {model_name: m, model_info: {id: first}, litellm_params: {model: openai/other, api_base: " +
			"'http://one.test/v1', api_key: k1}}\n", false},
	} {
		old := reloaded(t, head+first+sister, nil)
		d := old.Deployment("first")
		old.Begin(&Hop{Deployment: d})
		d.health.open(time.Now().Add(time.Minute), "429 rate_limit_error")
		d.pace.total.add(2, time.Now())

		now := reloaded(t, head+tc.next+sister, old)
		state := now.State(now.Deployment("first"))
		if stays := state.InFlight == 1 && state.Health == "cooling" && state.Total > 0 && state.Used.Requests == 1; stays != tc.stays {
			t.Errorf("%s: stays is %t: %+v", name, stays, state)
		}
		if fresh := state == (State{Health: "healthy"}); fresh == tc.stays {
			t.Errorf("%s: begins anew: %+v", name, state)
		}
		old.Done(&Hop{Deployment: d}, Outcome{})
		if n := now.State(now.Deployment("first")).InFlight; n != 0 {
			t.Errorf("%s: %d in flight after the only request ended", name, n)
		}
		if now.Deployment("sister").liveState != old.Deployment("sister").liveState {
			t.Errorf("%s: the sister lost what is known of it", name)
		}
	}
}

func TestTheAddressIsPartOfTheClustersName(t *testing.T) {
	for base, want := range map[string]string{
		"https://api.test/v1":      "deployment/d/api.test:443",
		"http://api.test/v1":       "deployment/d/api.test:80",
		"http://api.test:80":       "deployment/d/api.test:80",
		"https://api.test:8443/x":  "deployment/d/api.test:8443",
		"http://127.0.0.1:4000/v1": "deployment/d/127.0.0.1:4000",
		"http://[::1]:4000/v1":     "deployment/d/[::1]:4000",
		"https://bücher.test/v1":   "deployment/d/xn--bcher-kva.test:443",
	} {
		r := reloaded(t,
			"model_list: [{model_name: m, model_info: {id: d}, litellm_params: {model: openai/up, api_key: k, api_base: '"+base+"'}}]\n", nil)
		if got := r.Deployment("d").Cluster; got != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
	}
}
