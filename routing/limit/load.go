package limit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// load is what strategies may ask of a deployment without waiting.
type load struct {
	running atomic.Int64 // attempts of this replica
	others  atomic.Int64 // of the other replicas, as they last said

	mu     sync.Mutex
	minute [61]tally // this replica's, by second modulo 61
	used   [2]int64  // of those windows, over all replicas, as the store last said
}

// tally is what was used in one second.
type tally struct{ second, requests, tokens int64 }

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
		*t = tally{second: second}
	}
	t.requests += requests
	t.tokens += tokens
}

// saw notes the state of one of the deployment's own windows, or its group's.
func (d *deployment) saw(c charge, u store.Usage) {
	if c.key != d.own.keys[c.metric] || c.metric > tokens {
		return
	}
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	d.load.used[c.metric] = u.Used
}

// InFlight is how many attempts run on the deployment over all replicas: exact
// for this one, up to a second old for the others.
func (l *Limiter) InFlight(deployment string) int64 {
	d := l.byID[deployment]
	if d == nil {
		return 0
	}
	return d.load.running.Load() + d.load.others.Load()
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
			*into = d.load.used[m]
		}
	}
	return max(requests, 0), max(tokens, 0)
}

// Room reports whether the deployment's own limits seem to have room. It is a
// hint, up to a second old: Admit decides.
func (l *Limiter) Room(deployment string) bool {
	d := l.byID[deployment]
	if d == nil {
		return true
	}
	if d.own.parallel > 0 && d.load.running.Load()+d.load.others.Load() >= d.own.parallel {
		return false
	}
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	for m := range d.load.used {
		if limit := d.own.limits[m]; limit > 0 && d.load.used[m] >= limit {
			return false
		}
	}
	return true
}

// watched is one window whose use is asked for with every beat.
type watched struct {
	key    string
	on     *deployment
	charge charge
}

// watchList is the windows of requests and tokens of all deployments.
func (l *Limiter) watchList() []watched {
	var all []watched
	for _, d := range l.all {
		for _, m := range []metric{requests, tokens} {
			if key := d.own.keys[m]; key != "" {
				all = append(all, watched{key, d, charge{key: key, metric: m, limit: d.own.limits[m]}})
			}
		}
	}
	return all
}

// beatEvery is how often replicas hear of each other.
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
			l.beat(ctx, watch)
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
	peers, err := l.store.Beat(ctx, store.Beat{Load: running, Watch: watch})
	if err != nil {
		return // the next one is a second away
	}
	for _, d := range l.all {
		d.load.others.Store(peers.Load[d.id])
	}
	for i, w := range l.watch {
		w.on.saw(w.charge, store.Usage{Used: peers.Used[i]})
	}
}
