package limit

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// Use is one of the limits that many requests share, and how much of it is used:
// over all replicas, up to a second old.
type Use struct {
	Of          string // whose it is: "all", "group" or "caller"
	Name        string // of the model group, or of the caller as it was asked for
	Unit        string // "requests/min", "tokens/min", "input tokens/min", "output tokens/min" or "running"
	Used, Limit int64
}

// maxCallers bounds the callers whose limits are watched: those nearest to them.
const maxCallers = 16

// usageTracker is what was last seen of the limits that many requests share, for people
// to look at: no request is admitted or refused by it. It is safe for concurrent use.
type usageTracker struct {
	now   func() time.Time
	fixed []*sharedUsage // of all requests, and of model groups: in the order shown

	mu      sync.Mutex
	callers map[string]*sharedUsage
}

// sharedUsage is one budget and what was last seen of it.
type sharedUsage struct {
	of, name string
	keyedBudget
	used    [metrics]int64
	until   [metrics]time.Time // when the window is empty if nothing more is charged
	running int64
	seen    time.Time // that it was last charged, or found in use
}

// utilization is how much of its tightest limit is used, in percent.
func (a *sharedUsage) utilization(now time.Time) int64 {
	var most int64
	for m, limit := range a.limits {
		if limit > 0 && now.Before(a.until[m]) {
			most = max(most, 100*a.used[m]/limit)
		}
	}
	if a.parallel > 0 {
		most = max(most, 100*a.running/a.parallel)
	}
	return most
}

// observe notes the state of a window.
func (a *sharedUsage) observe(m metric, u store.Usage, now time.Time) {
	a.used[m] = u.Used
	if u.Used > 0 {
		a.seen = now
		a.until[m] = now.Add(store.MaxWait)
	}
	if u.Reset > 0 {
		a.until[m] = now.Add(u.Reset)
	}
}

// uses lists the sharedUsage's limits.
func (a *sharedUsage) uses(now time.Time) []Use {
	var all []Use
	for m, limit := range a.limits {
		if limit <= 0 {
			continue
		}
		u := Use{Of: a.of, Name: a.name, Unit: metric(m).unit(), Limit: limit}
		if now.Before(a.until[m]) {
			u.Used = max(a.used[m], 0)
		}
		all = append(all, u)
	}
	if a.parallel > 0 {
		all = append(all, Use{Of: a.of, Name: a.name, Unit: "running", Used: a.running, Limit: a.parallel})
	}
	return all
}

func (m metric) unit() string {
	return [metrics]string{"requests/min", "tokens/min", "input tokens/min", "output tokens/min"}[m]
}

// newUsageTracker makes the ledger of a Limiter's limits.
func newUsageTracker(now func() time.Time, global keyedBudget, groups map[string]*keyedBudget) *usageTracker {
	l := &usageTracker{now: now, callers: map[string]*sharedUsage{}}
	if global.limited() {
		l.fixed = append(l.fixed, &sharedUsage{of: "all", keyedBudget: global})
	}
	for name, m := range groups {
		if m.limited() {
			l.fixed = append(l.fixed, &sharedUsage{of: "group", name: name, keyedBudget: *m})
		}
	}
	slices.SortFunc(l.fixed, func(a, b *sharedUsage) int { return cmp.Compare(a.name, b.name) })
	return l
}

// observeCaller notes the state of a caller's windows, as the store's reply to one of its
// requests has it.
func (l *usageTracker) observeCaller(caller string, m *keyedBudget, charges []charge, usage []store.Usage) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.callers[caller]
	fresh := a == nil
	if fresh {
		a = &sharedUsage{of: "caller", name: caller, keyedBudget: *m}
	}
	a.seen = now
	for i, c := range charges {
		if i < len(usage) {
			a.observe(c.metric, usage[i], now)
		}
	}
	if fresh && l.evictFor(a, now) {
		l.callers[caller] = a
	}
}

// evictFor reports whether another caller may be watched. When there are maxCallers, the
// one furthest from its limits is dropped for it, if it is nearer to its own.
func (l *usageTracker) evictFor(a *sharedUsage, now time.Time) bool {
	if len(l.callers) < maxCallers {
		return true
	}
	var least *sharedUsage
	for _, other := range l.callers {
		if least == nil || other.utilization(now) < least.utilization(now) {
			least = other
		}
	}
	if least.utilization(now) >= a.utilization(now) {
		return false
	}
	delete(l.callers, least.name)
	return true
}

// watch lists the windows and slots to be asked for with the next beat; note takes
// the answer. Callers that have been still for longer
// than a window are forgotten.
func (l *usageTracker) watch() (windows, slots []string, note func(*store.Peers)) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.fixed)
	for name, a := range l.callers {
		if now.Sub(a.seen) > store.MaxWait && a.running == 0 {
			delete(l.callers, name)
			continue
		}
		all = append(all, a)
	}
	for _, a := range all {
		for _, key := range a.keys {
			if key != "" {
				windows = append(windows, key)
			}
		}
		if a.slot != "" {
			slots = append(slots, a.slot)
		}
	}
	return windows, slots, func(p *store.Peers) { l.observeAll(all, p) }
}

func (l *usageTracker) observeAll(all []*sharedUsage, p *store.Peers) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	used, held := p.Used, p.Held
	for _, a := range all {
		for m, key := range a.keys {
			if key != "" && len(used) > 0 {
				a.observe(metric(m), store.Usage{Used: used[0]}, now)
				used = used[1:]
			}
		}
		if a.slot != "" && len(held) > 0 {
			a.running, held = held[0], held[1:]
		}
	}
}

// Uses lists the limits that many requests share: of all requests, of model
// groups, and of the callers nearest to theirs. It does not wait.
func (l *Limiter) Uses() []Use {
	b, now := l.usage, l.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	callers := make([]*sharedUsage, 0, len(b.callers))
	for _, a := range b.callers {
		callers = append(callers, a)
	}
	slices.SortFunc(callers, func(a, b *sharedUsage) int { return cmp.Compare(a.name, b.name) })
	var all []Use
	for _, a := range slices.Concat(b.fixed, callers) {
		all = append(all, a.uses(now)...)
	}
	return all
}
