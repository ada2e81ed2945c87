package store

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

// moveTo moves at most so many windows, and as many slots each given back and
// renewed, into a call of settle.lua, and returns the IDs it is to be given.
func (d *outbox) moveTo(c *call, most int) []any {
	n := min(len(d.windows), most)
	c.num(int64(n))
	for key, deltas := range d.windows {
		if n == 0 {
			break
		}
		n--
		c.key(key)
		c.num(int64(len(deltas)))
		for second, delta := range deltas {
			c.num(second, delta)
		}
		delete(d.windows, key)
	}
	ids := moveSlots(nil, c, d.released, most)
	return moveSlots(ids, c, d.renewed, most)
}

// moveSlots moves slots into the call, grouped by key, and appends their IDs.
func moveSlots(ids []any, c *call, from map[Held]struct{}, most int) []any {
	groups := map[string][]any{}
	for h := range from {
		if most == 0 {
			break
		}
		most--
		groups[h.Key] = append(groups[h.Key], h.ID)
		delete(from, h)
	}
	c.num(int64(len(groups)))
	for key, members := range groups {
		c.key(key)
		c.num(int64(len(members)))
		ids = append(ids, members...)
	}
	return ids
}
