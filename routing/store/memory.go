package store

import (
	"context"
	"sync"
	"time"
)

// Memory is the store of one process. A slot is held until it is given back: what
// would renew it ends with the process. It is safe for concurrent use. What it keeps
// is bounded by what was charged within the last two minutes and by the slots that are
// held.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex
	windows map[string]*sliding
	slots   map[string]map[string]struct{} // by key: the IDs that hold one
	swept   int64                          // the second of the last sweep
}

// NewMemory makes an empty Memory that lives by the given clock.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, windows: map[string]*sliding{}, slots: map[string]map[string]struct{}{}}
}

// Acquire takes room for the first candidate that has it, or takes nothing. The
// error is always nil.
func (m *Memory) Acquire(_ context.Context, r *Request) (Reply, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.sweep(now.Unix())
	m.settle(&r.Return, r.ID, now.Unix())
	reply := Reply{Chosen: -1, Usage: make([]Usage, 0, len(r.Shared.Windows)+2)}
	shared := m.check(&r.Shared, now, &reply)
	soonest := verdict{wait: MaxWait}
	for i := range r.Candidates {
		if !shared.ok {
			break
		}
		d := &r.Candidates[i]
		v := m.check(d, now, &reply)
		if !v.ok {
			soonest.wait = min(soonest.wait, v.wait)
			soonest.lacks = append(soonest.lacks, v.lacks...)
			continue
		}
		m.charge(&r.Shared, r, now, now.Unix(), reply.Usage)
		m.charge(d, r, now, now.Unix(), reply.Usage[len(reply.Usage)-len(d.Windows):])
		reply.Chosen, reply.Second = i, now.Unix()
		return reply, nil
	}
	if !shared.ok {
		soonest = shared
	}
	reply.Wait, reply.Lacks = soonest.wait, soonest.lacks
	return reply, nil
}

// verdict is whether a Demand has room, and what it lacks.
type verdict struct {
	ok    bool
	wait  time.Duration
	lacks []string // keys of the slots it lacks, when it lacks nothing else
}

// check looks at all of a Demand and appends the state of its windows.
func (m *Memory) check(d *Demand, now time.Time, reply *Reply) verdict {
	v := verdict{ok: true}
	for _, want := range d.Windows {
		var u Usage
		if w := m.windows[want.Key]; w != nil {
			w.advance(now.Unix())
			u = w.usage(now)
			if wait, ok := w.room(want, now); !ok {
				v.ok, v.wait, u.Wait = false, max(v.wait, wait), wait
			}
		}
		reply.Usage = append(reply.Usage, u)
	}
	windows := v.ok
	for _, s := range d.Slots {
		if int64(len(m.slots[s.Key])) >= s.Limit {
			v.ok, v.wait = false, max(v.wait, slotWait)
			if windows {
				v.lacks = append(v.lacks, s.Key)
			}
		}
	}
	return v
}

// charge takes a Demand in a slice without looking at its limits, and notes the windows'
// new state in usage when it is given.
func (m *Memory) charge(d *Demand, r *Request, now time.Time, second int64, usage []Usage) {
	for i, want := range d.Windows {
		w := m.window(want.Key, now.Unix())
		w.add(second, want.Cost)
		if usage != nil {
			usage[i] = w.usage(now)
		}
	}
	for _, s := range d.Slots {
		if m.slots[s.Key] == nil {
			m.slots[s.Key] = map[string]struct{}{}
		}
		m.slots[s.Key][r.ID] = struct{}{}
	}
}

func (m *Memory) window(key string, second int64) *sliding {
	w := m.windows[key]
	if w == nil {
		w = &sliding{}
		m.windows[key] = w
	}
	w.advance(second)
	return w
}

// mirror charges what another store has granted, in the slice in which it did: the
// shared demand and that of the chosen candidate.
func (m *Memory) mirror(r *Request, granted *Reply) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().Unix()
	m.sweep(now)
	m.settle(&r.Return, r.ID, now)
	at := time.Unix(max(now, granted.Second), 0) // the other clock may be a little ahead of what is known of it
	for _, d := range r.granted(granted.Chosen) {
		m.charge(d, r, at, granted.Second, nil)
	}
}

// charges lists all that counts at present.
func (m *Memory) charges() []Correction {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().Unix()
	var all []Correction
	for key, w := range m.windows {
		w.advance(now)
		for _, c := range w.slices {
			all = append(all, Correction{key, c.second, c.n})
		}
	}
	return all
}

// Settle corrects charges and gives slots back. The error is always nil.
func (m *Memory) Settle(_ context.Context, all []Settlement) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().Unix()
	for i := range all {
		m.settle(&all[i], all[i].ID, now)
	}
	return nil
}

func (m *Memory) settle(s *Settlement, id string, now int64) {
	for _, c := range s.Corrections {
		if c.Delta > 0 || m.windows[c.Key] != nil {
			w := m.window(c.Key, now)
			w.add(min(c.Second, w.at), c.Delta)
		}
	}
	for _, key := range s.Slots {
		delete(m.slots[key], id)
	}
}

// Beat answers for the only replica there is. The error is always nil.
func (m *Memory) Beat(_ context.Context, b Beat) (Peers, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	p := Peers{Replicas: 1, Used: make([]int64, len(b.Watch)), Held: make([]int64, len(b.Slots))}
	for i, key := range b.Watch {
		if w := m.windows[key]; w != nil {
			w.advance(now.Unix())
			p.Used[i] = w.sum
		}
	}
	for i, key := range b.Slots {
		p.Held[i] = int64(len(m.slots[key]))
	}
	return p, nil
}

// sweep forgets, once a minute, the windows and slots that no request uses.
func (m *Memory) sweep(now int64) {
	if now-m.swept < span && now >= m.swept {
		return
	}
	m.swept = now
	for key, w := range m.windows {
		if w.advance(now); len(w.slices) == 0 {
			delete(m.windows, key)
		}
	}
	for key, held := range m.slots {
		if len(held) == 0 {
			delete(m.slots, key)
		}
	}
}
