package routing

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// choices counts what a strategy picks in n requests that cost nothing.
func (w *world) choices(t *testing.T, n int, model string) map[string]int {
	t.Helper()
	count := map[string]int{}
	c := call(t, model)
	group := w.groups[model]
	for range n {
		count[group[w.strategy.Pick(c, group)].ID]++
	}
	return count
}

// rolling gives the world dice that really roll, the same in each run, and a
// strategy.
func (w *world) rolling(strategy string) *world {
	dice := rand.New(rand.NewPCG(1, 2))
	w.float = dice.Float64
	w.strategy = w.newStrategy(strategy, nil)
	return w
}

// serve makes a deployment answer one request.
func (w *world) serve(h *Hop, took time.Duration, tokens int64) {
	w.Begin(h)
	w.Answered(h, took)
	w.Done(h, Outcome{Status: 200, Total: took, Prompt: tokens, Completion: tokens})
}

func TestShuffleFollowsTheWeights(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c")
	w.deployment("a").Weight, w.deployment("b").Weight, w.deployment("c").Weight = 5, 3, 2
	count := map[string]int{}
	for i := range 1000 {
		w.dice = (float64(i) + .5) / 1000
		group := w.groups["m"]
		count[group[w.strategy.Pick(nil, group)].ID]++
	}
	if diff := cmp.Diff(map[string]int{"a": 500, "b": 300, "c": 200}, count); diff != "" {
		t.Errorf("choices over an even spread of dice (-want +got):\n%s", diff)
	}
}

func TestADeploymentOfWeightZeroIsChosenWhenNoOtherCanBe(t *testing.T) {
	config := func(weights ...string) string {
		text := "model_list:\n"
		for i, w := range weights {
			text += fmt.Sprintf("- {model_name: m, model_info: {id: d%d}, litellm_params: {model: openai/up, api_key: k, api_base: "+
				"'http://a.test'%s}}\n", i, w)
		}
		return text
	}
	chosen := func(r *Router, group []*Deployment) map[string]int {
		count := map[string]int{}
		for range 1000 {
			count[group[r.strategy.Pick(nil, group)].ID]++
		}
		return count
	}
	r := reloaded(t, config(", weight: 0", ", weight: 4", ""), nil)
	if got := chosen(r, r.groups["m"]); got["d0"] != 0 || got["d1"] < 400 || got["d2"] < 400 {
		t.Errorf("of weights 0, 4 and none: %v", got)
	}
	if got := chosen(r, r.groups["m"][:1]); got["d0"] != 1000 {
		t.Errorf("alone: %v", got)
	}
	r = reloaded(t, config(", weight: 0", ", weight: 0"), nil)
	if got := chosen(r, r.groups["m"]); got["d0"] < 400 || got["d1"] < 400 {
		t.Errorf("two of weight 0: %v", got)
	}
}

func TestADeploymentWithoutAWeightGetsTheMean(t *testing.T) {
	group := []*Deployment{{Weight: 500}, {Weight: 300}, {}}
	fillWeights(group)
	if group[2].Weight != 400 {
		t.Errorf("weight = %v, want 400", group[2].Weight)
	}
}

// peers is what other replicas have in flight.
type peers map[string]int64

func (p peers) InFlight(id string) int64 { return p[id] }

func TestLeastBusyCountsAllReplicasAndIsFairAmongEquals(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c").rolling("least-busy")
	if got := w.choices(t, 3000, "m"); min(got["a"], got["b"], got["c"]) < 900 {
		t.Errorf("idle deployments share %v, want about 1000 each", got)
	}
	w.Begin(w.hop("a"))
	w.Begin(w.hop("b"))
	if got := w.choices(t, 10, "m"); got["c"] != 10 {
		t.Errorf("with a and b busy the choices are %v, want c", got)
	}
	w.peers = peers{"c": 2}
	w.rolling("least-busy")
	if got := w.choices(t, 100, "m"); got["c"] != 0 {
		t.Errorf("with c busy elsewhere the choices are %v, want none for it", got)
	}
}

func TestLatencyPrefersTheFastestAndExploresALittle(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c").rolling("latency-based")
	for i, id := range []string{"a", "b", "c"} {
		w.serve(w.hop(id), time.Duration(i+1)*100*time.Millisecond, 10)
	}
	got := w.choices(t, 10000, "m")
	if others := got["b"] + got["c"]; others < 200 || others > 400 {
		t.Errorf("choices %v: the slower ones got %d of 10000, want about 3 %%", got, others)
	}
}

func TestLatencyMeasuresWhatItDoesNotKnowOneRequestAtATime(t *testing.T) {
	w := newWorld(t, "m/a", "m/b").rolling("latency-based")
	if got := w.choices(t, 1000, "m"); min(got["a"], got["b"]) < 400 {
		t.Errorf("while nothing is known the choices are %v, want about half each", got)
	}
	w.serve(w.hop("a"), time.Millisecond, 10)
	if got := w.choices(t, 10, "m"); got["b"] != 10 {
		t.Errorf("b is not known: choices %v, want b", got)
	}
	w.Begin(w.hop("b"))
	if got := w.choices(t, 10, "m"); got["a"] != 10 {
		t.Errorf("b is being measured: choices %v, want a", got)
	}
}

func TestLatencyNeverMixesUnits(t *testing.T) {
	for name, tc := range map[string]struct {
		measure func(w *world)
		want    string
	}{
		"long answers are compared by the token": {func(w *world) {
			w.serve(w.hop("a"), 10*time.Second, 1000)
			w.serve(w.hop("b"), time.Second, 10)
		}, "a"},
		"by the whole time when one reports no tokens": {func(w *world) {
			w.serve(w.hop("a"), 10*time.Second, 1000)
			w.serve(w.hop("b"), time.Second, 0)
		}, "b"},
		"one that fails fast is slow": {func(w *world) {
			w.serve(w.hop("a"), 2*time.Second, 10)
			w.fail("b", 500, 0)
		}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b").rolling("latency-based")
			tc.measure(w)
			if got := w.choices(t, 100, "m"); got[tc.want] < 90 {
				t.Errorf("choices %v, want nearly all %s", got, tc.want)
			}
		})
	}
}

func TestASlowDeploymentComesBackWhenItRecovers(t *testing.T) {
	w := newWorld(t, "m/a", "m/b").rolling("latency-based")
	speed := map[string]time.Duration{"a": 50 * time.Millisecond, "b": 100 * time.Millisecond}
	c, group := call(t, "m"), w.groups["m"]
	run := func(n int) map[string]int {
		count := map[string]int{}
		for range n {
			d := group[w.strategy.Pick(c, group)]
			count[d.ID]++
			w.clock = w.clock.Add(10 * time.Millisecond)
			w.serve(w.hop(d.ID), speed[d.ID], 10)
		}
		return count
	}
	run(100)
	speed["a"] = 2 * time.Second
	run(100)
	if got := run(1000); got["b"] < 950 {
		t.Errorf("while a is slow the choices are %v, want nearly all b", got)
	}
	speed["a"] = 50 * time.Millisecond
	run(1000)
	if got := run(1000); got["a"] < 950 {
		t.Errorf("10 s after a has recovered the choices are %v, want nearly all a", got)
	}
}

func TestUsageFillsQuotasEvenly(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c").rolling("usage-based")
	w.deployment("a").TPM, w.deployment("b").TPM = 6000, 3000
	fillShares(w.groups["m"])
	c, group := call(t, "m"), w.groups["m"]
	used := map[string]int64{}
	for range 900 {
		d := group[w.strategy.Pick(c, group)]
		w.serve(w.hop(d.ID), time.Second, 5)
		used[d.ID] += 10
	}
	want := map[string]int64{"a": 4000, "b": 2000, "c": 3000} // c has no quota: it is compared by the mean
	if diff := cmp.Diff(want, used); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestUsageWithoutQuotasEvensOutTokensAndForgetsAfterAMinute(t *testing.T) {
	w := newWorld(t, "m/a", "m/b").rolling("usage-based")
	w.serve(w.hop("a"), time.Second, 500)
	if got := w.choices(t, 10, "m"); got["b"] != 10 {
		t.Errorf("a has used more: choices %v, want b", got)
	}
	w.clock = w.clock.Add(time.Minute)
	if got := w.choices(t, 1000, "m"); min(got["a"], got["b"]) < 400 {
		t.Errorf("a minute later the choices are %v, want about half each", got)
	}
}

func TestUsageCountsRunningRequests(t *testing.T) {
	w := newWorld(t, "m/a", "m/b").rolling("usage-based")
	w.serve(w.hop("a"), time.Second, 50)
	w.serve(w.hop("b"), time.Second, 60)
	w.Begin(w.hop("a"))
	if got := w.choices(t, 10, "m"); got["b"] != 10 {
		t.Errorf("a has a request running: choices %v, want b", got)
	}
}

// shared is what all replicas have used: requests and tokens.
type shared map[string][2]int64

func (s shared) Used(id string) (requests, tokens int64) { return s[id][0], s[id][1] }

func TestUsageGoesByWhatAllReplicasHaveUsed(t *testing.T) {
	w := newWorld(t, "m/a", "m/b").rolling("usage-based")
	w.serve(w.hop("b"), time.Second, 5)
	w.usage = shared{"a": {9, 900}, "b": {1, 10}}
	if got := w.choices(t, 10, "m"); got["b"] != 10 {
		t.Errorf("a has used more elsewhere: choices %v, want b", got)
	}
	if s := w.State(w.deployment("a")); s.Used.Requests != 9 || s.Used.Tokens != 900 {
		t.Errorf("state = %+v", s.Used)
	}
}

func TestCostTakesTheCheapestAndLeavesTheUnpricedForLast(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c", "m/d").rolling("cost-based")
	if got := w.choices(t, 4000, "m"); min(got["a"], got["b"], got["c"], got["d"]) < 900 {
		t.Errorf("without prices the choices are %v, want about 1000 each", got)
	}
	for id, price := range map[string]float64{"a": 3, "b": 1, "c": 1} {
		w.deployment(id).Priced, w.deployment(id).InputCost, w.deployment(id).OutputCost = true, price, price
	}
	if got := w.choices(t, 1000, "m"); got["a"]+got["d"] > 0 || min(got["b"], got["c"]) < 400 {
		t.Errorf("choices %v, want b and c, half each", got)
	}
	w.deployment("a").InputCost, w.deployment("a").OutputCost = 0, 0
	if got := w.choices(t, 10, "m"); got["a"] != 10 {
		t.Errorf("a is free: choices %v", got)
	}
}

func BenchmarkPick(b *testing.B) {
	names := make([]string, 100)
	for i := range names {
		names[i] = "m/" + string(rune('a'+i/10)) + string(rune('0'+i%10))
	}
	for _, strategy := range []string{"simple-shuffle", "least-busy", "latency-based", "usage-based", "cost-based"} {
		b.Run(strategy, func(b *testing.B) {
			w := newWorld(b, names...).rolling(strategy)
			for _, d := range w.deployments {
				w.serve(w.hop(d.ID), time.Second, 10)
			}
			c, group := call(b, "m"), w.groups["m"]
			b.ReportAllocs()
			for b.Loop() {
				w.strategy.Pick(c, group)
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	w := newWorld(b, "m/a", "m/b", "m/c", "n/d").rolling("simple-shuffle")
	w.fallbacks["m"] = w.resolve("n")
	c := call(b, "m")
	b.ReportAllocs()
	for b.Loop() {
		p, err := w.Plan(c)
		if err != nil {
			b.Fatal(err)
		}
		w.Begin(&p.Hops[0])
		w.Answered(&p.Hops[0], time.Second)
		w.Done(&p.Hops[0], Outcome{Status: 200, Total: time.Second})
	}
}
