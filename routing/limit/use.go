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

// maxCallers is how many callers are kept an eye on: those nearest to their limits.
const maxCallers = 16

// ledger is what was last seen of the limits that many requests share. It decides
// nothing. It is safe for concurrent use.
type ledger struct {
	now   func() time.Time
	fixed []*account // of all requests, and of model groups: in the order shown

	mu      sync.Mutex
	callers map[string]*account
}

// account is one budget and what was last seen of it.
type account struct {
	of, name string
	meter
	used    [metrics]int64
	until   [metrics]time.Time // when the window is empty if nothing more is charged
	running int64
	seen    time.Time // that it was last charged, or found in use
}

// share is how much of its tightest limit is used, in percent.
func (a *account) share(now time.Time) int64 {
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

// saw notes the state of a window.
func (a *account) saw(m metric, u store.Usage, now time.Time) {
	a.used[m] = u.Used
	if u.Used > 0 {
		a.seen = now
		a.until[m] = now.Add(store.MaxWait)
	}
	if u.Reset > 0 {
		a.until[m] = now.Add(u.Reset)
	}
}

// uses lists the account's limits.
func (a *account) uses(now time.Time) []Use {
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

// newLedger makes the ledger of a Limiter's limits.
func newLedger(now func() time.Time, global meter, groups map[string]*meter) *ledger {
	l := &ledger{now: now, callers: map[string]*account{}}
	if global.limited() {
		l.fixed = append(l.fixed, &account{of: "all", meter: global})
	}
	for name, m := range groups {
		if m.limited() {
			l.fixed = append(l.fixed, &account{of: "group", name: name, meter: *m})
		}
	}
	slices.SortFunc(l.fixed, func(a, b *account) int { return cmp.Compare(a.name, b.name) })
	return l
}

// met notes what a caller's request was told of the caller's windows.
func (l *ledger) met(caller string, m *meter, charges []charge, usage []store.Usage) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.callers[caller]
	fresh := a == nil
	if fresh {
		a = &account{of: "caller", name: caller, meter: *m}
	}
	a.seen = now
	for i, c := range charges {
		if i < len(usage) {
			a.saw(c.metric, usage[i], now)
		}
	}
	if fresh && l.roomFor(a, now) {
		l.callers[caller] = a
	}
}

// roomFor makes room for one more caller, if it is nearer to its limits than
// another one.
func (l *ledger) roomFor(a *account, now time.Time) bool {
	if len(l.callers) < maxCallers {
		return true
	}
	var least *account
	for _, other := range l.callers {
		if least == nil || other.share(now) < least.share(now) {
			least = other
		}
	}
	if least.share(now) >= a.share(now) {
		return false
	}
	delete(l.callers, least.name)
	return true
}

// watch lists the windows and slots to be asked for with the next beat, and tells
// what is to be done with the answer. Callers that have been still for longer
// than a window are forgotten.
func (l *ledger) watch() (windows, slots []string, told func(*store.Peers)) {
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
	return windows, slots, func(p *store.Peers) { l.told(all, p) }
}

func (l *ledger) told(all []*account, p *store.Peers) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	used, held := p.Used, p.Held
	for _, a := range all {
		for m, key := range a.keys {
			if key != "" && len(used) > 0 {
				a.saw(metric(m), store.Usage{Used: used[0]}, now)
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
	b, now := l.ledger, l.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	callers := make([]*account, 0, len(b.callers))
	for _, a := range b.callers {
		callers = append(callers, a)
	}
	slices.SortFunc(callers, func(a, b *account) int { return cmp.Compare(a.name, b.name) })
	var all []Use
	for _, a := range slices.Concat(b.fixed, callers) {
		all = append(all, a.uses(now)...)
	}
	return all
}
