package routing

import (
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// world is a router built by hand: its clock and its dice are the test's.
type world struct {
	*Router
	clock time.Time
	dice  float64
}

// newWorld makes a router with these deployments, "group/id" each.
func newWorld(t testing.TB, names ...string) *world {
	t.Helper()
	w := &world{clock: time.Unix(1_700_000_000, 0)}
	r := &Router{
		now: func() time.Time { return w.clock }, float: func() float64 { return w.dice },
		numRetries: 2, maxFallbacks: 5, aliases: map[string][]target{}, fallbacks: map[string][]target{},
		health: HealthPolicy{AllowedFails: 3, Window: time.Minute, Cooldown: 10 * time.Second, MaxCooldown: time.Minute},
	}
	r.strategy = shuffle{r.float}
	r.changes = make(chan change, maxChanges)
	var deployments []*Deployment
	for _, name := range names {
		group, id, ok := cutLast(name)
		if !ok {
			t.Fatalf("%q is not group/id", name)
		}
		d := &Deployment{ID: id, Group: group, Provider: "openai", Model: "up-" + id, Timeout: time.Minute, liveState: &liveState{},
			target: upstream.Target{Provider: "openai", Model: "up-" + id, BaseURL: "http://" + id + ".test/v1"}}
		if err := d.link(); err != nil {
			t.Fatal(err)
		}
		deployments = append(deployments, d)
	}
	r.index(deployments)
	w.Router = r
	return w
}

// remodel gives a deployment another model of its provider.
func (w *world) remodel(t testing.TB, id, model string) {
	t.Helper()
	d := w.deployment(id)
	d.Model, d.target.Model = model, model
	if err := d.link(); err != nil {
		t.Fatal(err)
	}
}

func cutLast(s string) (before, after string, ok bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// call is a chat request for a model.
func call(t testing.TB, model string) *Call {
	t.Helper()
	req, err := chat.Parse(chat.Completions, []byte(`{"model":"`+model+`","messages":[]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	return &Call{Request: req}
}

// ids lists the deployments of a plan's hops.
func ids(p *Plan) []string {
	var out []string
	for _, h := range p.Hops {
		out = append(out, h.Deployment.ID)
	}
	return out
}

// plan is the plan of a request for a model.
func (w *world) plan(t testing.TB, model string) *Plan {
	t.Helper()
	p, err := w.Plan(call(t, model))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fail ends an attempt of a deployment in failure.
func (w *world) fail(id string, status int, retryAfter time.Duration) {
	h := w.hop(id)
	w.Begin(h)
	kind := upstream.KindOf(&upstream.Error{Status: status})
	w.Done(h, Outcome{Failed: true, Kind: kind, Status: status, RetryAfter: retryAfter, Reason: "scripted"})
}

// hop is an attempt of a deployment.
func (w *world) hop(id string) *Hop {
	d := w.deployment(id)
	return &Hop{Deployment: d, Model: d.Model, Group: d.Group}
}

func (w *world) stateOf(id string) string { return w.State(w.deployment(id)).Health }

func (w *world) deployment(id string) *Deployment {
	for _, d := range w.deployments {
		if d.ID == id {
			return d
		}
	}
	return nil
}
