package routing

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// timed is a world in which a has 2 s and 1 s for streams, b 30 s, and c, the fallback
// of both, ten minutes; d stands alone with 5 s, and x takes what is too long for it.
func timed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "m/a", "m/b", "n/c", "alone/d", "wide/x")
	for id, seconds := range map[string][2]time.Duration{"a": {2, 1}, "b": {30, 0}, "c": {600, 0}, "d": {5, 0}, "x": {900, 0}} {
		w.deployment(id).Timeout, w.deployment(id).StreamTimeout = seconds[0]*time.Second, seconds[1]*time.Second
	}
	w.numRetries = 1
	w.fallbacks["m"] = w.resolve("n")
	w.linkTimeouts()
	return w
}

func TestEachAttemptHasTheTimeOfItsDeployment(t *testing.T) {
	for name, tc := range map[string]struct {
		model   string
		edit    func(w *world, c *Call)
		fixed   bool
		want    []time.Duration // seconds, of the attempts
		longest time.Duration   // seconds
		streams []string        // deployments that are reached by their StreamCluster
	}{
		"without a stream": {"m", func(*world, *Call) {}, false, []time.Duration{2, 30, 600, 600}, 600, nil},
		"streamed":         {"m", stream, false, []time.Duration{1, 30, 600, 600}, 600, []string{"a", "b"}},
		"in a fixed order": {"m", stream, true, []time.Duration{1, 30, 600, 600}, 600, []string{"a", "b"}},
		"streamed, by an Envoy without stream clusters": {"m", func(w *world, c *Call) {
			stream(w, c)
			c.StreamClusters = false
		}, false, []time.Duration{1, 30, 600, 600}, 600, nil},
		"where all that may follow have the same": {"alone", stream, false, []time.Duration{5, 5}, 5, nil},
		"where a prompt that is too long leads to a longer one": {"alone", func(w *world, c *Call) {
			stream(w, c)
			w.contextWindow = map[string][]string{"alone": {"wide"}}
			w.linkTimeouts()
		}, false, []time.Duration{5, 5}, 900, []string{"d", "d"}},
		"the request's own": {"m", func(w *world, c *Call) {
			stream(w, c)
			c.Timeout = 7 * time.Second
		}, false, []time.Duration{7, 7, 7, 7}, 7, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := timed(t), call(t, tc.model)
			tc.edit(w, c)
			plan := w.Plan
			if tc.fixed {
				plan = w.PlanFixed
			}
			p, err := plan(c)
			if err != nil {
				t.Fatal(err)
			}
			var got []time.Duration
			var streams []string
			for _, h := range p.Hops {
				got = append(got, h.Timeout/time.Second)
				if h.Cluster == h.Deployment.StreamCluster {
					streams = append(streams, h.Deployment.ID)
				} else if h.Cluster != h.Deployment.Cluster {
					t.Errorf("an attempt goes to %q", h.Cluster)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || p.Timeout != tc.longest*time.Second {
				t.Errorf("the longest is %s, want %d s; the times (-want +got):\n%s", p.Timeout, tc.longest, diff)
			}
			if diff := cmp.Diff(tc.streams, streams); diff != "" {
				t.Errorf("reached by their stream cluster (-want +got):\n%s", diff)
			}
		})
	}
}

func stream(_ *world, c *Call) { c.Request.Stream, c.StreamClusters = true, true }

func TestTheFixedOrderOfStreamsIsWhatAPlanNames(t *testing.T) {
	w := timed(t)
	orders := map[string][]string{}
	for _, o := range w.Orders() {
		orders[o.Name] = o.Clusters
	}
	for _, streamed := range []bool{false, true} {
		c := call(t, "m")
		if streamed {
			stream(w, c)
		}
		p, err := w.PlanFixed(c)
		if err != nil {
			t.Fatal(err)
		}
		var clusters []string
		for _, h := range p.Hops {
			clusters = append(clusters, h.Cluster)
		}
		if diff := cmp.Diff(orders[p.Order()], clusters); diff != "" {
			t.Errorf("%s is not the plan (-order +plan):\n%s", p.Order(), diff)
		}
	}
	if len(orders) != 7 {
		t.Errorf("%d orders, want one for each first choice, and two for the streams of m: %v", len(orders), orders)
	}
}

// TestAFirstTokenHasATimeWhereEveryDeploymentHasOne: Envoy reads it once for all
// attempts, so that one without a bound must not be cut by another's.
func TestAFirstTokenHasATimeWhereEveryDeploymentHasOne(t *testing.T) {
	for name, tc := range map[string]struct {
		first  []time.Duration // ttft_timeout of the deployments of m
		stream bool
		want   time.Duration
	}{
		"the longest of them":         {[]time.Duration{2 * time.Second, 3 * time.Second}, true, 3 * time.Second},
		"none where one has none":     {[]time.Duration{2 * time.Second, 0}, true, 0},
		"none for a blocking request": {[]time.Duration{2 * time.Second, 3 * time.Second}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b")
			for i, d := range w.deployments {
				d.TTFTTimeout = tc.first[i]
			}
			c := call(t, "m")
			c.Request.Stream = tc.stream
			p, err := w.Plan(c)
			if err != nil {
				t.Fatal(err)
			}
			if p.FirstToken != tc.want || tc.want > 0 && p.SilentTime(1) != tc.want {
				t.Errorf("first token within %v, silent %v, want %v", p.FirstToken, p.SilentTime(1), tc.want)
			}
		})
	}
}
