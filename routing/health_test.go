package routing

import (
	"testing"
	"testing/synctest"
	"time"

	"log/slog"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// cooldownOf is how long a deployment will cool still.
func (w *world) cooldownOf(id string) time.Duration {
	until := w.State(w.deployment(id)).Until
	if until.IsZero() {
		return 0
	}
	return until.Sub(w.now())
}

func TestACooldownThatFollowsAnotherIsTwiceAsLongUpToABound(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	w.health.MaxGrown = time.Minute
	var got []time.Duration
	for range 5 {
		w.fail("a", 401, 0)
		got = append(got, w.cooldownOf("a"))
		w.clock = w.clock.Add(w.cooldownOf("a"))
	}
	const s = time.Second
	if diff := cmp.Diff([]time.Duration{10 * s, 20 * s, 40 * s, 60 * s, 60 * s}, got); diff != "" {
		t.Errorf("cooldowns (-want +got):\n%s", diff)
	}
	if n := w.State(w.deployment("a")).Repeated; n != 4 {
		t.Errorf("repeated %d times, want 4", n)
	}
	w.fail("a", 429, 7*s)
	if got := w.cooldownOf("a"); got != 7*s {
		t.Errorf("asked for 7s, it cools %s", got)
	}
	w.clock = w.clock.Add(7 * s)
	w.Answered(w.hop("a"), s)
	w.fail("a", 401, 0)
	if got := w.cooldownOf("a"); got != 10*s || w.State(w.deployment("a")).Repeated != 0 {
		t.Errorf("after a good answer it cools %s, want 10s", got)
	}
}

func TestWhichFailuresMakeTheNextCooldownLonger(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(w *world)
		fail    Outcome
		want    time.Duration
	}{
		"of an attempt that began after it": {func(*world) {}, Outcome{Kind: upstream.KindServer, Total: 0}, 20 * time.Second},
		"of one that began before its end": {
			func(*world) {}, Outcome{Kind: upstream.KindTimeout, Total: time.Second}, 10 * time.Second,
		},
		"not of one that is alone, whose host does not resolve": {
			func(w *world) { w.deployment("a").alone = true }, Outcome{Kind: upstream.KindTransport, Nowhere: true}, 10 * time.Second,
		},
		"not beyond a cooldown_time that is longer than the bound": {
			func(w *world) { w.health.MaxGrown = time.Second }, Outcome{Kind: upstream.KindServer}, 10 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b")
			w.health.MaxGrown = time.Minute
			w.fail("a", 401, 0)
			tc.prepare(w)
			w.clock = w.clock.Add(10 * time.Second)
			h := w.hop("a")
			w.Begin(h)
			tc.fail.Failed = true
			w.Done(h, tc.fail)
			if got := w.cooldownOf("a"); got != tc.want {
				t.Errorf("it cools %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAClassWithANumberOfItsOwnCountsByItself(t *testing.T) {
	for name, tc := range map[string]struct {
		policy   map[string]int
		statuses []int
		want     string
	}{
		"a quota cools at once without one":       {nil, []int{429}, "cooling"},
		"with one it is allowed some":             {map[string]int{"RateLimit": 3}, []int{429, 429}, "healthy"},
		"and no more":                             {map[string]int{"RateLimit": 3}, []int{429, 429, 429}, "cooling"},
		"none is one":                             {map[string]int{"Timeout": 0}, []int{408}, "cooling"},
		"others do not count towards it":          {map[string]int{"Timeout": 3}, []int{500, 408, 500, 408}, "healthy"},
		"nor it towards others":                   {map[string]int{"Timeout": 9}, []int{408, 408, 500, 500}, "healthy"},
		"others keep theirs":                      {map[string]int{"Timeout": 9}, []int{500, 500, 500}, "cooling"},
		"a client's own mistake never counts":     {map[string]int{"BadRequest": 1, "NotFound": 1}, []int{400, 405, 501}, "healthy"},
		"a wrong key may be allowed some as well": {map[string]int{"Authentication": 2}, []int{401}, "healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b")
			w.health.ByClass = tc.policy
			w.deployment("b").failsByClass = map[string]int{}
			for _, status := range tc.statuses {
				w.fail("a", status, 0)
			}
			if got := w.stateOf("a"); got != tc.want {
				t.Errorf("a is %s, want %s", got, tc.want)
			}
			if w.fail("b", 429, 0); w.stateOf("b") != "cooling" {
				t.Error("b has a policy of its own, and goes by the one for all")
			}
		})
	}
}

func TestACooldownThatFollowsAnotherGrowsOnAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedStore{list: map[string]store.Cooldown{}}
		one, two := replicas(t, shared, slog.New(slog.DiscardHandler))
		one.health.MaxGrown, two.health.MaxGrown = time.Minute, time.Minute
		one.fail("a", 401, 0)
		time.Sleep(11 * time.Second)
		one.fail("a", 401, 0) // its probe
		time.Sleep(21 * time.Second)
		if n := two.State(two.deployment("a")).Repeated; n != 1 {
			t.Errorf("the other replica knows of %d, want 1", n)
		}
		two.fail("a", 401, 0)
		if got := two.cooldownOf("a"); got.Round(time.Second) != 40*time.Second {
			t.Errorf("the third cooldown, on the other replica, is %s, want 40s", got)
		}
		time.Sleep(time.Second)
		if got := one.cooldownOf("a"); got.Round(time.Second) != 39*time.Second {
			t.Errorf("the first replica has it for %s, want 39s", got)
		}
	})
}
