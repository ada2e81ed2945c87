package store

import "maps"

// outbox is what a server must still be sent: corrections of charges, slots given back,
// slots to renew. Corrections of one slice are added up; a slot stands in it once. It
// is not safe for concurrent use.
type outbox struct {
	windows  map[string]map[int64]int64 // key → second → delta
	released map[Held]struct{}
	renewed  map[Held]struct{}
}

func newOutbox() *outbox {
	return &outbox{windows: map[string]map[int64]int64{}, released: map[Held]struct{}{}, renewed: map[Held]struct{}{}}
}

func (d *outbox) empty() bool {
	return len(d.windows) == 0 && len(d.released) == 0 && len(d.renewed) == 0
}

func (d *outbox) add(s *Settlement) {
	for _, c := range s.Corrections {
		d.correct(c)
	}
	for _, key := range s.Slots {
		d.released[Held{key, s.ID}] = struct{}{}
	}
}

func (d *outbox) correct(c Correction) {
	if d.windows[c.Key] == nil {
		d.windows[c.Key] = map[int64]int64{}
	}
	d.windows[c.Key][c.Second] += c.Delta
}

func (d *outbox) renew(h Held) { d.renewed[h] = struct{}{} }

// dropExpired drops the corrections of slices that have left their windows.
func (d *outbox) dropExpired(now int64) {
	for key, deltas := range d.windows {
		for second := range deltas {
			if second < now-span {
				delete(deltas, second)
			}
		}
		if len(deltas) == 0 {
			delete(d.windows, key)
		}
	}
}

// take moves at most so many windows, and as many slots each given back and renewed, into
// an outbox of their own. The outbox that it leaves empty is only good for restore.
func (d *outbox) take(most int) *outbox {
	if len(d.windows) <= most && len(d.released) <= most && len(d.renewed) <= most {
		piece := *d
		*d = outbox{}
		return &piece
	}
	piece := newOutbox()
	move(piece.windows, d.windows, most)
	move(piece.released, d.released, most)
	move(piece.renewed, d.renewed, most)
	return piece
}

// move moves at most so many entries.
func move[K comparable, V any](into, from map[K]V, most int) {
	for k, v := range from {
		if most == 0 {
			return
		}
		most--
		into[k] = v
		delete(from, k)
	}
}

// restore adds what take has taken.
func (d *outbox) restore(piece *outbox) {
	if d.empty() {
		*d = *piece
		return
	}
	d.restoreWindows(piece)
	maps.Copy(d.released, piece.released)
	maps.Copy(d.renewed, piece.renewed)
}

func (d *outbox) restoreWindows(piece *outbox) {
	for key, deltas := range piece.windows {
		for second, delta := range deltas {
			d.correct(Correction{key, second, delta})
		}
	}
}

// encode writes all of the outbox into a call of settle.lua, and appends the IDs that the
// call is to be given to its arguments.
func (d *outbox) encode(args []any, c *call) []any {
	args = encodeSlots(args, c, d.released)
	c.num(int64(len(d.windows)))
	for key, deltas := range d.windows {
		c.key(key)
		c.num(int64(len(deltas)))
		for second, delta := range deltas {
			c.num(second, delta)
		}
	}
	return encodeSlots(args, c, d.renewed)
}

// encodeSlots writes slots into the call, grouped by key, and appends their IDs.
func encodeSlots(args []any, c *call, slots map[Held]struct{}) []any {
	groups := map[string][]any{}
	for h := range slots {
		groups[h.Key] = append(groups[h.Key], h.ID)
	}
	c.num(int64(len(groups)))
	for key, members := range groups {
		c.key(key)
		c.num(int64(len(members)))
		args = append(args, members...)
	}
	return args
}
