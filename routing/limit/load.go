package limit

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// load is what strategies may ask of a deployment without waiting.
type load struct {
	running atomic.Int64 // attempts of this replica
	others  atomic.Int64 // of the other replicas, as they last said

	mu     sync.Mutex
	minute [61]secondUse        // this replica's, by second modulo 61
	seen   [metrics]windowState // the windows that have a limit, over all replicas
}

// windowState is what the store last said of a window.
type windowState struct {
	used  int64
	empty time.Time // when it is if nothing more is charged, as far as is known
	// A request of this cost had no room, and none was announced before this time.
	refused int64
	until   time.Time
}

// secondUse is what was used in one second.
type secondUse struct{ second, requests, tokens int64 }

func (l *load) begin(now time.Time) {
	l.running.Add(1)
	l.count(now, 1, 0)
}

func (l *load) end(now time.Time, end Outcome) {
	l.running.Add(-1)
	switch {
	case !end.Reached:
		l.count(now, -1, 0)
	case end.Known:
		l.count(now, 0, end.Prompt+end.Completion)
	}
}

func (l *load) count(now time.Time, requests, tokens int64) {
	second := now.Unix()
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.minute[second%int64(len(l.minute))]
	if t.second != second {
		*t = secondUse{second: second}
	}
	t.requests += requests
	t.tokens += tokens
}

// observe notes the state of one of the deployment's own windows. One that holds less
// than before has been corrected: it may have room.
func (d *deployment) observe(c charge, u store.Usage, now time.Time) {
	if c.key != d.own.keys[c.metric] {
		return
	}
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	w := &d.load.seen[c.metric]
	if u.Used < w.used {
		w.until = time.Time{}
	}
	w.used = u.Used
	if u.Reset > 0 {
		w.empty = now.Add(u.Reset)
	}
	if u.Wait > 0 {
		w.refused, w.until = c.cost, now.Add(u.Wait)
	}
}

// noteUnused notes that an attempt used less than it was charged: there may be room.
func (d *deployment) noteUnused(h *reservation, end Outcome) {
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	for _, c := range h.charges {
		if c.key == d.own.keys[c.metric] && end.used(c) < c.cost {
			d.load.seen[c.metric].until = time.Time{}
		}
	}
}

// Wait is how long the deployment surely has no room in its limits per minute
// for a request of so many tokens; 0: it may have. It knows of refusals that this
// replica got; slots do not count, since one may be free at any moment.
func (l *Limiter) Wait(deployment string, n int64) time.Duration {
	d := l.byID[deployment]
	if d == nil || d.own.windows == 0 {
		return 0
	}
	now := l.now()
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	var wait time.Duration
	for m, cost := range []int64{requests: 1, tokens: n} {
		if w := &d.load.seen[m]; cost >= w.refused {
			wait = max(wait, w.until.Sub(now))
		}
	}
	return wait
}

// Reached are the limits per minute for which these deployments surely have no room for
// a request of so many tokens, as Wait knows: each once and at most eight.
func (l *Limiter) Reached(deployments []string, n int64) (all []Reached) {
	now := l.now()
	for _, id := range deployments {
		d := l.byID[id]
		if d == nil || d.own.windows == 0 {
			continue
		}
		for _, m := range d.reached(n, now) {
			all = appendReached(all, Reached{limitName(d.own.keys[m], m.suffix()), m.suffix()[1:], d.own.limits[m]})
		}
	}
	return all
}

func (d *deployment) reached(n int64, now time.Time) (reached []metric) {
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	for m, cost := range []int64{requests: 1, tokens: n} {
		if w := &d.load.seen[m]; d.own.limits[m] > 0 && cost >= w.refused && w.until.After(now) {
			reached = append(reached, metric(m))
		}
	}
	return reached
}

// RateLimits are the x-ratelimit fields of the deployment's own limits, as they were
// last seen.
func (l *Limiter) RateLimits(deployment string) upstream.Header {
	d := l.byID[deployment]
	if d == nil {
		return nil
	}
	now := l.now()
	var g gauges
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	for _, m := range []metric{requests, tokens} {
		if limit := d.own.limits[m]; limit > 0 {
			w := &d.load.seen[m]
			g.note(charge{metric: m, limit: limit}, store.Usage{Used: w.used, Reset: max(w.empty.Sub(now), 0)})
		}
	}
	return g.appendTo(nil)
}

// InFlight is how many attempts run on the deployment on the other replicas, as
// they said within the last second.
func (l *Limiter) InFlight(deployment string) int64 {
	if d := l.byID[deployment]; d != nil {
		return d.load.others.Load()
	}
	return 0
}

// Used is what the deployment was used for within the last minute: requests and
// tokens. What has a limit is counted over all replicas, up to a second old; what
// has none is this replica's.
func (l *Limiter) Used(deployment string) (requests, tokens int64) {
	d := l.byID[deployment]
	if d == nil {
		return 0, 0
	}
	oldest := l.now().Unix() - 60
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	for _, t := range d.load.minute {
		if t.second >= oldest {
			requests += t.requests
			tokens += t.tokens
		}
	}
	for m, into := range []*int64{&requests, &tokens} {
		if d.own.limits[m] > 0 {
			*into = d.load.seen[m].used
		}
	}
	return max(requests, 0), max(tokens, 0)
}

// Own is the limits of a deployment beside those of requests and tokens, and how
// much of each is used: over all replicas, up to a second old. A limit of 0 is
// none, and then its use is not known.
type Own struct {
	ITPM, Input          int64 // input tokens per minute
	OTPM, Output         int64 // output tokens per minute
	MaxParallel, Running int64 // attempts at the same time
}

// Own tells of a deployment's other limits. It does not wait.
func (l *Limiter) Own(deployment string) Own {
	d := l.byID[deployment]
	if d == nil {
		return Own{}
	}
	o := Own{ITPM: d.own.limits[input], OTPM: d.own.limits[output], MaxParallel: d.own.parallel}
	if o.MaxParallel > 0 {
		o.Running = d.load.running.Load() + d.load.others.Load()
	}
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	o.Input, o.Output = max(d.load.seen[input].used, 0), max(d.load.seen[output].used, 0)
	return o
}

// watched is one window whose use is asked for with every beat.
type watched struct {
	key    string
	on     *deployment
	charge charge
}

// watchList is the windows of all deployments.
func (l *Limiter) watchList() []watched {
	var all []watched
	for _, d := range l.all {
		for m, key := range d.own.keys {
			if key != "" {
				all = append(all, watched{key, d, charge{key: key, metric: metric(m), limit: d.own.limits[m]}})
			}
		}
	}
	return all
}

// beatEvery is how often replicas exchange their loads.
const beatEvery = time.Second

// run beats until ctx ends.
func (l *Limiter) run(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	watch := make([]string, len(l.watch))
	for i, w := range l.watch {
		watch[i] = w.key
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.guard.Run("the beat of the limits", func() { l.beat(ctx, watch) })
		}
	}
}

func (l *Limiter) beat(ctx context.Context, watch []string) {
	running := map[string]int64{}
	for _, d := range l.all {
		if n := d.load.running.Load(); n > 0 {
			running[d.id] = n
		}
	}
	windows, slots, note := l.usage.watch()
	peers, err := l.store.Beat(ctx, store.Beat{Load: running, Watch: slices.Concat(watch, windows), Slots: slots})
	if err != nil {
		return // the next one is a second away
	}
	own := peers.Used[:len(watch)]
	peers.Used = peers.Used[len(watch):]
	note(&peers)
	for _, d := range l.all {
		d.load.others.Store(peers.Load[d.id])
	}
	for i, w := range l.watch {
		w.on.observe(w.charge, store.Usage{Used: own[i]}, l.now())
	}
}
