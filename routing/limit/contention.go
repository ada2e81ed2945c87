package limit

import (
	"slices"
	"strconv"
	"strings"
)

// slot is what the queue knows of the slots under one key. It exists while a request
// that waits may take one. The queue's lock guards it, as all in this file.
type slot struct {
	key string
	// full: a request whose limit is at most this finds none; 0: one may be free.
	full int64
	// contended: it was found full, and not found free since. Nobody may take it past
	// those that wait.
	contended bool
	dirty     bool   // it stands in queue.dirty
	early     bool   // it stands in queue.early
	woken     uint64 // queue.changes when one was given back last
	classes   []classNeed
}

// classNeed is a class that needs a slot, and the limit that holds for it.
type classNeed struct {
	class *class
	limit int64
}

// noSlot is the key under which requests wait that have a candidate without slots: they
// are looked at with each poll, when its minutes may have room again.
const noSlot = ""

// need is a slot that a class needs.
type need struct {
	slot  *slot
	limit int64
}

func (n need) full() bool { return n.limit <= n.slot.full }

func anyFull(needs []need) bool { return slices.ContainsFunc(needs, need.full) }

// class is the requests that need the same slots: what one of them lacks all do. Only
// their sizes differ, and with these the windows that have room for them.
type class struct {
	key        string
	shared     []need // needed whichever candidate is taken
	candidates []classCandidate
	lines      []*line // one for each caller
}

// classCandidate is what a class needs of one candidate.
type classCandidate struct {
	id    string
	needs []need
}

// full reports whether no request of the class can be served, whatever its size.
func (c *class) full() bool {
	return anyFull(c.shared) || !slices.ContainsFunc(c.candidates, func(each classCandidate) bool { return !anyFull(each.needs) })
}

// line is the requests of one caller in a class, oldest first.
type line struct {
	caller  *caller
	entries []*entry
}

// caller is one whose requests wait.
type caller struct {
	name    string
	waiting int
	joined  int64            // queue.served when its first one came
	turns   map[string]int64 // by key: queue.served when it got this slot last
}

// turn tells whose turn it is at a slot: the lowest is next. A caller that has just come
// is behind those that were served before.
func (c *caller) turn(s *slot) int64 { return max(c.joined, c.turns[s.key]) }

// key is the same for requests that need the same slots of the same candidates, under the
// same limits.
func (p *place) key() string {
	parts := make([]string, 0, len(p.candidates)+1)
	var b strings.Builder
	for i := range p.candidates {
		b.Reset()
		b.WriteString(p.candidates[i].id)
		for _, s := range p.candidates[i].slots {
			b.WriteByte(0)
			b.WriteString(strconv.FormatInt(s.Limit, 10))
		}
		parts = append(parts, b.String())
	}
	slices.Sort(parts)
	b.Reset()
	for _, s := range p.shared {
		b.WriteString(s.Key)
		b.WriteByte(0)
		b.WriteString(strconv.FormatInt(s.Limit, 10))
		b.WriteByte(0)
	}
	return strings.Join(append(parts, b.String()), "\x01")
}

// addLocked puts an entry into the class of its place, in the order of arrival, and has
// the slots looked at that it may lack.
func (q *queue) addLocked(e *entry) {
	key := e.place.key()
	c := q.classes[key]
	if c == nil {
		c = q.newClass(key, &e.place)
	}
	e.class = c
	who := q.callers[e.place.caller]
	if who == nil {
		who = &caller{name: e.place.caller, joined: q.served, turns: map[string]int64{}}
		q.callers[who.name] = who
	}
	who.waiting++
	l := c.line(who)
	if l == nil {
		l = &line{caller: who}
		c.lines = append(c.lines, l)
	}
	before := len(l.entries)
	for before > 0 && l.entries[before-1].number > e.number {
		before--
	}
	l.entries = slices.Insert(l.entries, before, e)
	q.markNeeds(c, e)
}

func (c *class) line(who *caller) *line {
	if i := slices.IndexFunc(c.lines, func(l *line) bool { return l.caller == who }); i >= 0 {
		return c.lines[i]
	}
	return nil
}

// markNeeds has the slots looked at that an entry which has just come may take. Those
// that are known to be full are looked at when one is given back.
func (q *queue) markNeeds(c *class, e *entry) {
	for _, lacked := range e.place.lacked {
		if s := q.slots[lacked.Key]; s != nil {
			s.contended = true
		}
	}
	mark := func(needs []need) {
		for _, n := range needs {
			if !n.full() && (e.place.lacked == nil || n.slot.contended) {
				q.markLocked(n.slot)
			}
		}
	}
	mark(c.shared)
	for i := range c.candidates {
		mark(c.candidates[i].needs)
		if len(c.candidates[i].needs) == 0 {
			q.markLocked(q.slots[noSlot])
		}
	}
}

// newClass makes the class of a place.
func (q *queue) newClass(key string, p *place) *class {
	c := &class{key: key}
	needs := func(slotKey string, limit int64) need {
		s := q.slots[slotKey]
		if s == nil {
			s = &slot{key: slotKey}
			q.slots[slotKey] = s
		}
		if !slices.ContainsFunc(s.classes, func(n classNeed) bool { return n.class == c }) {
			s.classes = append(s.classes, classNeed{c, limit})
		}
		return need{s, limit}
	}
	for _, s := range p.shared {
		c.shared = append(c.shared, needs(s.Key, s.Limit))
	}
	for i := range p.candidates {
		each := classCandidate{id: p.candidates[i].id}
		for _, s := range p.candidates[i].slots {
			each.needs = append(each.needs, needs(s.Key, s.Limit))
		}
		if len(each.needs) == 0 {
			needs(noSlot, 1)
		}
		c.candidates = append(c.candidates, each)
	}
	q.classes[key] = c
	return c
}

// removeLocked takes an entry out of a class, and forgets what nobody waits for any more.
func (q *queue) removeLocked(e *entry, c *class) {
	who := q.callers[e.place.caller]
	if who.waiting--; who.waiting == 0 {
		delete(q.callers, who.name)
	}
	l := c.line(who)
	l.entries = slices.DeleteFunc(l.entries, func(other *entry) bool { return other == e })
	if len(l.entries) > 0 {
		return
	}
	c.lines = slices.DeleteFunc(c.lines, func(other *line) bool { return other == l })
	if len(c.lines) > 0 {
		return
	}
	delete(q.classes, c.key)
	q.forget(c, c.shared)
	for i := range c.candidates {
		q.forget(c, c.candidates[i].needs)
		if len(c.candidates[i].needs) == 0 {
			q.forget(c, []need{{slot: q.slots[noSlot]}})
		}
	}
}

// forget takes a class out of the slots it needs.
func (q *queue) forget(c *class, needs []need) {
	for _, n := range needs {
		if n.slot == nil {
			continue // forgotten already
		}
		n.slot.classes = slices.DeleteFunc(n.slot.classes, func(other classNeed) bool { return other.class == c })
		if len(n.slot.classes) == 0 {
			delete(q.slots, n.slot.key)
		}
	}
}

// full reports whether an entry surely finds no room now. What it finds holds until
// queue.changes says otherwise.
func (q *queue) full(e *entry) bool {
	if e.blockedAt == q.changes {
		return true
	}
	for i := range e.class.candidates {
		c := &e.class.candidates[i]
		if !anyFull(c.needs) && !e.waiter.noRoom(c.id, q.used) {
			return false
		}
	}
	e.blockedAt = q.changes
	return true
}

// best is the entry that a slot goes to, if there is one: nil when it is full, or none of
// those that need it may be served. It is of the caller whose turn it is there, and of
// that one's the oldest.
func (q *queue) best(s *slot) *entry {
	var best *entry
	var turn int64
	for _, n := range s.classes {
		if n.limit <= s.full || n.class.full() {
			continue
		}
		for _, l := range n.class.lines {
			t := l.caller.turn(s)
			for _, e := range l.entries {
				if best != nil && (t > turn || t == turn && e.number > best.number) {
					break
				}
				if e.triedAt == q.changes || e.ctx.Err() != nil || q.full(e) {
					continue
				}
				best, turn = e, t
				break
			}
		}
	}
	return best
}
