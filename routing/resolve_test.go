package routing

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// asked lists the attempts of a plan: deployment and model of its provider.
func asked(p *Plan) []string {
	var out []string
	for _, h := range p.Hops {
		out = append(out, h.Deployment.ID+" "+h.Model)
	}
	return out
}

// A name with a star in it went into the deployment's model, whose star was filled
// again, and for ever.
func TestANameWithStarsIsFilledInOnce(t *testing.T) {
	w := newWorld(t, "up/*/a", "*/b", "m/c")
	w.remodel(t, "a", "openai/*")
	w.remodel(t, "b", "*-of-*")
	w.numRetries = 0
	for name, want := range map[string]string{
		"up/*": "a openai/*", "up/**": "a openai/**", "up/gpt-*": "a openai/gpt-*", "*": "b *-of-*", "***": "b ***-of-***",
	} {
		if diff := cmp.Diff([]string{want}, asked(w.plan(t, name))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		c := call(t, "m")
		c.Fallbacks = []string{name}
		p, err := w.Plan(c)
		if err != nil || len(p.Hops) != 2 {
			t.Errorf("%s as the fallback of a request: %v, %v", name, p, err)
		}
		for _, h := range slices.Concat(p.Hops, w.plan(t, name).Hops) {
			if h.Translator == nil {
				t.Errorf("%s: nobody translates for %s", name, h.Model)
			}
		}
	}
}

func TestALongNameIsNoModelOfAWildcard(t *testing.T) {
	w := newWorld(t, "up/*/a")
	w.remodel(t, "a", strings.Repeat("*", 50))
	for _, name := range []string{"up/" + strings.Repeat("x", 100_000), "up/" + strings.Repeat("x", 500)} {
		_, err := w.Plan(&Call{Request: &chat.Request{Endpoint: chat.Completions, Model: name}})
		var e *upstream.Error
		if !errors.As(err, &e) || e.Status != 404 {
			t.Errorf("%d bytes: %v, want 404", len(name), err)
		}
	}
}

// What a star stood for was nothing, and so was the model's name: nobody translated
// for it, and the request ended in a panic.
func TestAStarThatStandsForNothingNamesNoModel(t *testing.T) {
	w := newWorld(t, "up/*/a", "x-*/b", "m/c")
	w.remodel(t, "a", "*")
	w.remodel(t, "b", "x-*")
	w.numRetries = 0
	for _, c := range []*Call{
		{Request: &chat.Request{Endpoint: chat.Completions, Model: "up/"}},
		{Request: &chat.Request{Endpoint: chat.Completions, Model: "m"}, Fallbacks: []string{"up/"}},
	} {
		_, err := w.Plan(c)
		var e *upstream.Error
		if !errors.As(err, &e) || e.Status != 404 || !strings.Contains(e.Message, "`up/`") {
			t.Errorf("%s, then %v: %v, want 404 of up/", c.Request.Model, c.Fallbacks, err)
		}
	}
	if diff := cmp.Diff([]string{"b x-"}, asked(w.plan(t, "x-"))); diff != "" {
		t.Errorf("a model's name with an empty star (-want +got):\n%s", diff)
	}
}

// wildcards is a router whose groups a/* and b/* pass the name on.
func wildcards(t testing.TB, settings string) *Router {
	t.Helper()
	return routerOf(t, `
model_list:
- {model_name: "a/*", litellm_params: {model: "openai/a-*", api_key: k}, model_info: {id: a}}
- {model_name: "b/*", litellm_params: {model: "openai/b-*", api_key: k}, model_info: {id: b}}
- {model_name: back, litellm_params: {model: openai/back, api_key: k}, model_info: {id: back}}
- {model_name: other, litellm_params: {model: openai/other, api_key: k}, model_info: {id: other}}
router_settings:
  num_retries: 0
`+settings)
}

func routerOf(t testing.TB, text string) *Router {
	t.Helper()
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(c, Options{Float: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSettingsOfAWildcardGroupHoldForEachNameItServes(t *testing.T) {
	for name, tc := range map[string]struct {
		settings string
		code     string // of the failure
		want     []string
	}{
		"fallbacks":                        {"  fallbacks: [{'a/*': [back]}]", "", []string{"a a-x", "back back"}},
		"fallbacks of the name itself win": {"  fallbacks: [{'a/*': [back]}, {a/x: [other]}]", "", []string{"a a-x", "other other"}},
		"fallbacks of another name":        {"  fallbacks: [{a/y: [other]}]", "", []string{"a a-x"}},
		"fallbacks to a wildcard":          {"  fallbacks: [{'a/*': ['b/*']}]", "", []string{"a a-x", "b b-x"}},
		"fallbacks to a wildcard and on": {"  fallbacks: [{'a/*': ['b/*']}, {'b/*': [back]}]", "",
			[]string{"a a-x", "b b-x", "back back"}},
		"fallbacks in a circle":           {"  fallbacks: [{'a/*': ['b/*']}, {'b/*': ['a/*']}]", "", []string{"a a-x", "b b-x"}},
		"default fallbacks":               {"  default_fallbacks: [back]", "", []string{"a a-x", "back back"}},
		"default fallbacks to a wildcard": {"  default_fallbacks: ['b/*']", "", []string{"a a-x", "b b-x"}},
		"fallbacks when the context is too long": {"  context_window_fallbacks: [{'a/*': [back]}]", upstream.CodeContextLength,
			[]string{"a a-x", "back back"}},
		"the same of the name itself": {"  context_window_fallbacks: [{'a/*': [back]}, {a/x: [other]}]", upstream.CodeContextLength,
			[]string{"a a-x", "other other"}},
		"the same to a wildcard": {"  context_window_fallbacks: [{'a/*': ['b/*']}]", upstream.CodeContextLength,
			[]string{"a a-x", "b b-x"}},
		"fallbacks when the content is refused": {"  content_policy_fallbacks: [{'a/*': [back]}]", upstream.CodeContentFilter,
			[]string{"a a-x", "back back"}},
		"a retry policy": {"  model_group_retry_policy: {'a/*': {BadRequestErrorRetries: 1}}", "other",
			[]string{"a a-x", "a a-x"}},
		"a retry policy of the name itself": {"  model_group_retry_policy: {'a/*': {BadRequestErrorRetries: 2}, a/x: " +
			"{BadRequestErrorRetries: 1}}", "other", []string{"a a-x", "a a-x"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := wildcards(t, tc.settings)
			status := 400
			if tc.code == "" {
				status = 500
			}
			p, err := r.Plan(call(t, "a/x"))
			if err != nil {
				t.Fatal(err)
			}
			n := 1
			for ; n < 9 && r.Failed(p, n, Failure{Kind: upstream.KindOf(&upstream.Error{Status: status, Code: tc.code})}).Retry; n++ {
			}
			if diff := cmp.Diff(tc.want, asked(p)[:n]); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAliasOfAWildcardThatIsLeftOutIsNotServed(t *testing.T) {
	r := routerOf(t, `
model_list:
- {model_name: "a/*", litellm_params: {model: "openai/*", api_key: os.environ/NO_SUCH}}
- {model_name: m, litellm_params: {model: ollama/m}}
router_settings: {model_group_alias: {fast: a/x}, fallbacks: [{m: [a/x]}]}
`)
	if n := len(r.Orders()); n != 1 {
		t.Errorf("%d orders, want that of m alone", n)
	}
	_, err := r.Plan(call(t, "a/x"))
	if err == nil || !strings.Contains(err.Error(), "$NO_SUCH is not set") {
		t.Errorf("a name of the wildcard: %v, want why it cannot be served", err)
	}
}

// An Envoy before 1.40 walks an order that it was given beforehand: the plan must
// be that order, or a deployment's key goes to another's address.
func TestTheFixedOrdersOfWildcardsAreWhatPlanFixedFollows(t *testing.T) {
	r := wildcards(t, "  fallbacks: [{'a/*': ['b/*']}, {a/x: [other, back]}, {'b/*': [back]}]\n  default_fallbacks: ['a/*']")
	orders := map[string][]string{}
	for _, o := range r.Orders() {
		orders[o.Name] = o.Clusters
	}
	for name, want := range map[string][]string{
		"a/x": {"a a-x", "other other", "back back"},
		"a/y": {"a a-y", "b b-y", "back back"},
		"a/*": {"a a-*", "b b-*", "back back"},
		"b/z": {"b b-z", "back back", "a a-z"},
	} {
		p, err := r.PlanFixed(call(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, asked(p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		var clusters []string
		for _, h := range p.Hops {
			clusters = append(clusters, h.Deployment.Cluster)
		}
		if diff := cmp.Diff(orders[OrderName(p.Name, p.Hops[0].Deployment.Cluster)], clusters); diff != "" {
			t.Errorf("%s: the plan is not its order (-order +plan):\n%s", name, diff)
		}
	}
	if got := []string{r.ConfiguredName("a/x"), r.ConfiguredName("a/y")}; !slices.Equal(got, []string{"a/x", "a/*"}) {
		t.Errorf("spelt as %q: what the configuration names is itself, what it does not is its wildcard", got)
	}
}

// FuzzPlan: whatever groups, aliases, fallbacks and names there are, a plan is made
// or refused, of no more attempts than there may be, and its fixed form follows an
// order that Envoy has.
func FuzzPlan(f *testing.F) {
	f.Add(uint64(1), "a/*")
	f.Add(uint64(2), "*")
	f.Add(uint64(3), "x**y")
	f.Add(uint64(4), "b/a")
	f.Fuzz(func(t *testing.T, seed uint64, name string) {
		dice := rand.New(rand.NewPCG(seed, 0))
		r := randomRouter(t, dice)
		if r == nil {
			return
		}
		orders := map[string][]string{}
		for _, o := range r.Orders() {
			orders[o.Name] = o.Clusters
		}
		for _, model := range []string{name, randomName(dice), randomName(dice)} {
			c := &Call{Request: &chat.Request{Endpoint: chat.Completions, Model: model}, Fallbacks: []string{randomName(dice), name}[:dice.IntN(3)]}
			p, err := r.Plan(c)
			if err != nil {
				continue
			}
			if len(p.Hops) == 0 || len(p.Hops) > maxAttempts || len(p.targets) > 2*maxAttempts {
				t.Fatalf("%q: %d hops, %d stages", model, len(p.Hops), len(p.targets))
			}
			for n := 1; n < 2*maxAttempts && r.Failed(p, n, Failure{Kind: upstream.KindOf(&upstream.Error{Status: []int{400, 500}[dice.IntN(2)],
				Code: upstream.CodeContextLength})}).Retry; n++ {
			}
			if p, err = r.PlanFixed(c); err != nil {
				continue
			}
			var clusters []string
			for _, h := range p.Hops {
				clusters = append(clusters, h.Deployment.Cluster)
				if h.Translator == nil {
					t.Fatalf("%q: nobody translates for %s", model, h.Model)
				}
			}
			if o := OrderName(p.Name, clusters[0]); !slices.Equal(orders[o], clusters) {
				t.Fatalf("%q: Envoy's order %s is %q, the plan's %q", model, o, orders[o], clusters)
			}
		}
	})
}

func randomName(dice *rand.Rand) string {
	letters := "ab/*"
	var b strings.Builder
	for range 1 + dice.IntN(4) {
		b.WriteByte(letters[dice.IntN(len(letters))])
	}
	return b.String()
}

// randomRouter is nil where the settings do not fit the groups.
func randomRouter(t *testing.T, dice *rand.Rand) *Router {
	names := func() []string {
		var out []string
		for range 1 + dice.IntN(3) {
			out = append(out, randomName(dice))
		}
		return out
	}
	var entries []any
	for i := range 1 + dice.IntN(4) {
		entries = append(entries, map[string]any{
			"model_name":     randomName(dice),
			"litellm_params": map[string]any{"model": "openai/m" + randomName(dice), "api_key": "k"},
			"model_info":     map[string]any{"id": fmt.Sprint(i)},
		})
	}
	settings := map[string]any{"max_fallbacks": dice.IntN(40), "num_retries": dice.IntN(3)}
	for _, key := range []string{"fallbacks", "context_window_fallbacks"} {
		settings[key] = map[string]any{randomName(dice): names(), randomName(dice): names()}
	}
	settings["model_group_alias"] = map[string]any{randomName(dice): names()}
	settings["default_fallbacks"] = names()
	text, err := json.Marshal(map[string]any{"model_list": entries, "router_settings": settings})
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Parse("c.yaml", text, config.Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		return nil
	}
	r, err := New(c, Options{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func BenchmarkPlanOfAWildcard(b *testing.B) {
	r := wildcards(b, "  fallbacks: [{'a/*': ['b/*']}]")
	c := call(b, "a/gpt-4o-mini")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Plan(c); err != nil {
			b.Fatal(err)
		}
	}
}
