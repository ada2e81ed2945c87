package routing

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestTagsChooseDeployments(t *testing.T) {
	for name, tc := range map[string]struct {
		all  bool // tag_filtering_match_any: false
		tags []string
		want string // deployments that may serve; "error"
	}{
		"no tags: those tagged default":             {false, nil, "d"},
		"a tag":                                     {false, []string{"paid"}, "p pe"},
		"any of several":                            {false, []string{"paid", "eu"}, "p pe e"},
		"all of several":                            {true, []string{"paid", "eu"}, "pe"},
		"a tag nobody has: those tagged default":    {false, []string{"beta"}, "d"},
		"a tag that is unwanted":                    {false, []string{"eu", "!paid"}, "e"},
		"a tag that is needed":                      {false, []string{"paid", "&eu"}, "pe"},
		"only a needed one":                         {false, []string{"&paid"}, "p pe"},
		"only an unwanted one: default without it":  {false, []string{"!paid"}, "d"},
		"an unwanted default":                       {false, []string{"!default"}, "error"},
		"needed ones that nobody has: default ones": {false, []string{"&paid", "&beta"}, "d"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/d", "m/p", "m/pe", "m/e", "m/none")
			w.Router.tags = tagRules{on: true, any: !tc.all}
			for id, tags := range map[string][]string{"d": {"default"}, "p": {"paid"}, "pe": {"paid", "eu"}, "e": {"eu"}} {
				w.deployment(id).Tags = tags
			}
			c := call(t, "m")
			c.Tags, c.NumRetries = tc.tags, new(int)
			*c.NumRetries = 9
			p, err := w.Plan(c)
			var e *upstream.Error
			switch {
			case errors.As(err, &e) && e.Code == "no_deployment_for_tags" && e.Status == 400:
				if tc.want != "error" {
					t.Errorf("error %v, want %s", err, tc.want)
				}
			case err != nil:
				t.Error(err)
			default:
				var served []string
				for _, h := range p.Hops {
					if !h.Again {
						served = append(served, h.Deployment.ID)
					}
				}
				if got := strings.Join(served, " "); got != tc.want {
					t.Errorf("served by %s, want %s", got, tc.want)
				}
			}
		})
	}
}

func TestATagWhoseDeploymentsRestIsNotServedByOthers(t *testing.T) {
	w := newWorld(t, "m/d", "m/p")
	w.Router.tags = tagRules{on: true, any: true}
	w.deployment("d").Tags, w.deployment("p").Tags = []string{"default"}, []string{"paid"}
	w.fail("p", 429, 9*time.Second)
	c := call(t, "m")
	c.Tags = []string{"paid"}
	_, err := w.Plan(c)
	var e *upstream.Error
	if !errors.As(err, &e) || e.Status != 503 || e.Header.Get("retry-after") != "9" {
		t.Errorf("Plan = %v, want 503 with retry-after 9", err)
	}
}

func TestWithoutTagFilteringTagsMeanNothing(t *testing.T) {
	w := newWorld(t, "m/a")
	w.deployment("a").Tags = []string{"paid"}
	c := call(t, "m")
	c.Tags = []string{"free"}
	if _, err := w.Plan(c); err != nil {
		t.Error(err)
	}
}

func TestPromptsThatSurelyDoNotFitGoElsewhere(t *testing.T) {
	request := func(message string) *Call {
		c := call(t, "m")
		r, err := chat.Parse(chat.Completions, []byte(`{"model":"m","messages":[{"role":"user","content":`+message+`}]}`), "")
		if err != nil {
			t.Fatal(err)
		}
		c.Request = r
		return c
	}
	long := `"` + strings.Repeat("words ", 2000) + `"` // 12,000 bytes, 2,000 tokens
	image := `[{"type":"text","text":"what is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` +
		strings.Repeat("A", 50000) + `"}}]`
	for name, tc := range map[string]struct {
		off     bool
		message string
		sizes   map[string]int
		window  map[string][]string // context_window_fallbacks
		want    []string            // deployments of the plan; nil: 400
	}{
		"a small window is passed over":           {false, long, map[string]int{"a": 1000, "b": 8000}, nil, []string{"b", "b", "b"}},
		"not when the check is off":               {true, long, map[string]int{"a": 1000, "b": 8000}, nil, []string{"a", "b", "a"}},
		"not when it is no sure thing":            {false, long, map[string]int{"a": 1900, "b": 8000}, nil, []string{"a", "b", "a"}},
		"an image is no text":                     {false, image, map[string]int{"a": 1000, "b": 1000}, nil, []string{"a", "b", "a"}},
		"none large enough is the client's error": {false, long, map[string]int{"a": 1000, "b": 1000}, nil, nil},
		"unless context_window_fallbacks has some": {false, long, map[string]int{"a": 1000, "b": 1000}, map[string][]string{"m": {"big"}},
			[]string{"c", "c", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b", "big/c")
			w.checkWindow, w.contextWindow = !tc.off, tc.window
			for id, size := range tc.sizes {
				w.deployment(id).MaxInputTokens = size
			}
			p, err := w.Plan(request(tc.message))
			if tc.want == nil {
				var e *upstream.Error
				if !errors.As(err, &e) || e.Status != 400 || e.Code != upstream.CodeContextLength {
					t.Errorf("Plan = %v, want context_length_exceeded", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, ids(p)); diff != "" {
				t.Errorf("hops (-want +got):\n%s", diff)
			}
		})
	}
}

// room is how long each deployment has no room for.
type room map[string]time.Duration

func (r room) Wait(id string, _ int64) time.Duration { return r[id] }

func (r room) Reached(ids []string, _ int64) (all []limit.Reached) {
	for _, id := range ids {
		all = append(all, limit.Reached{Of: "deployment/" + id, Setting: "rpm", Value: 5})
	}
	return all
}

func (r room) RateLimits(id string) upstream.Header {
	return upstream.Header{{Name: "x-ratelimit-limit-requests", Value: id}}
}

func TestDeploymentsWithoutRoomArePassedOver(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	w.limits = room{"a": time.Second}
	if diff := cmp.Diff([]string{"b", "b", "b"}, ids(w.plan(t, "m"))); diff != "" {
		t.Errorf("hops (-want +got):\n%s", diff)
	}
	w.limits = room{"a": 3 * time.Second, "b": 2500 * time.Millisecond}
	_, err := w.Plan(call(t, "m"))
	var e *upstream.Error
	if !errors.As(err, &e) || e.Status != 429 || e.Header.Get("retry-after") != "3" || e.Header.Get("x-ratelimit-limit-requests") != "b" {
		t.Errorf("Plan = %v, want 429 with retry-after 3 and what b says of its limits", err)
	}
	refused, _ := errors.AsType[*limit.Refused](err)
	if refused == nil || len(refused.Limits) != 2 || !strings.Contains(e.Message, "(rpm 5 of deployment/a, rpm 5 of deployment/b)") {
		t.Errorf("Plan = %v, which does not name the limits", err)
	}
}

func TestAModelWhoseDeploymentsAreLeftOutIsNamed(t *testing.T) {
	w := newWorld(t, "m/a")
	w.leftOut = []LeftOut{{"gone", "$KEY is not set"}}
	_, err := w.Plan(call(t, "gone"))
	var e *upstream.Error
	if !errors.As(err, &e) || e.Status != 503 || !strings.Contains(e.Message, "$KEY") {
		t.Errorf("Plan = %v, want 503 naming $KEY", err)
	}
}

// Whatever fails in whatever way: no plan exceeds its cap, repeats a deployment
// that failed while another of its stage is left, or ends before everything was
// tried that may be.
func TestPlansKeepTheirPromisesUnderRandomFailures(t *testing.T) {
	for seed := range uint64(2000) {
		dice := rand.New(rand.NewPCG(seed, 7))
		w := randomWorld(t, dice)
		p, err := w.Plan(call(t, "m"))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		n := 1
		for ; ; n++ {
			if n > p.Attempts || len(p.Hops) > p.Attempts {
				t.Fatalf("seed %d: attempt %d and %d hops, the cap is %d", seed, n, len(p.Hops), p.Attempts)
			}
			w.checkNoRepeat(t, fmt.Sprintf("seed %d", seed), p, n)
			hop := &p.Hops[n-1]
			w.Begin(hop)
			if dice.IntN(4) == 0 { // Envoy goes on by itself
				w.Done(hop, Outcome{Failed: true, Kind: upstream.KindTransport})
				if !w.Lost(p, n) {
					break
				}
				continue
			}
			status := []int{500, 503, 429, 401, 404, 400}[dice.IntN(6)]
			w.Done(hop, Outcome{Failed: true, Kind: upstream.KindOf(&upstream.Error{Status: status}), Status: status})
			next := w.Failed(p, n, Failure{Kind: upstream.KindOf(&upstream.Error{Status: status})})
			if !next.Retry {
				break
			}
			w.clock = w.clock.Add(next.Pause)
		}
		for _, d := range w.deployments {
			if d.InFlight() != 0 {
				t.Errorf("seed %d: %d in flight on %s", seed, d.InFlight(), d.ID)
			}
		}
	}
}

func randomWorld(t *testing.T, dice *rand.Rand) *world {
	names := []string{"m/a"}
	for i := range dice.IntN(4) {
		names = append(names, "m/b"+fmt.Sprint(i))
	}
	for i := range dice.IntN(3) {
		names = append(names, "f/c"+fmt.Sprint(i))
	}
	w := newWorld(t, names...)
	w.float = dice.Float64
	w.strategy = w.newStrategy([]string{"simple-shuffle", "least-busy", "latency-based", "usage-based", "cost-based"}[dice.IntN(5)], nil)
	w.numRetries = dice.IntN(6)
	if len(w.groups["f"]) > 0 {
		w.fallbacks["m"] = w.resolve("f")
	}
	for _, d := range w.deployments {
		d.Order = dice.IntN(3)
	}
	return w
}

// checkNoRepeat checks hop n against those before it.
func (w *world) checkNoRepeat(t *testing.T, what string, p *Plan, n int) {
	t.Helper()
	hop := p.Hops[n-1]
	tried := map[*Deployment]bool{}
	for _, h := range p.Hops[:n-1] {
		if h.Fallback == hop.Fallback {
			tried[h.Deployment] = true
		}
	}
	if !tried[hop.Deployment] {
		return
	}
	for _, d := range w.groups[hop.Group] {
		if !tried[d] && d.health.phase(w.clock) == healthy {
			t.Errorf("%s: attempt %d repeats %s while %s is left: %v", what, n, hop.Deployment.ID, d.ID, ids(p))
		}
	}
}
