package store

import "time"

const (
	// span is the number of whole slices that a charge stays in its window after
	// its own.
	span = 60
	// slice is the length of one slice.
	slice = time.Second
	// MaxWait is the longest that a window can make anybody wait.
	MaxWait = (span + 1) * slice
	// slotWait is what a refused request is told when only a slot is missing:
	// when one is given back is not known.
	slotWait = time.Second
)

// Window is one sliding minute and what a request wants of it. A Cost above the
// Limit has room when the window is empty: it would never be served otherwise.
type Window struct {
	Key   string
	Limit int64 // per minute; above zero
	Cost  int64 // zero and more
}

// Slot is one of Limit places that requests hold at the same time.
type Slot struct {
	Key   string
	Limit int64
}

// Demand is what must have room together: all of it is charged or none.
type Demand struct {
	Windows []Window
	Slots   []Slot
}

// Request asks for room for one attempt of a request.
type Request struct {
	// ID names the slots that are taken. It is unique among running requests.
	ID string
	// Useful is how long an answer is of use to whoever asks: what comes to the
	// server later takes nothing. 0: as long as its ctx lives.
	Useful time.Duration
	// Lease is how long slots are held without being renewed. Memory has no leases: it
	// holds them until they are given back.
	Lease time.Duration
	// Epoch is that of a Beat. A server that has lost its data since then takes nothing,
	// and nothing back: see refused. "": whatever it knows. Memory has none.
	Epoch string
	// Return is given back first, in the same step. Its ID is that of the request.
	Return Settlement
	// Shared must have room whichever candidate is taken.
	Shared Demand
	// Candidates are tried in this order; the first with room is taken. There is
	// at least one; an empty Demand always has room.
	Candidates []Demand
}

// granted are the demands that are charged when a candidate is chosen.
func (r *Request) granted(chosen int) [2]*Demand { return [2]*Demand{&r.Shared, &r.Candidates[chosen]} }

// Reply is the answer to a Request.
type Reply struct {
	// Chosen is the candidate that was charged; -1: none had room, and nothing
	// was charged.
	Chosen int
	// Second is the slice of the charge, by the store's clock.
	Second int64
	// Wait is the soonest moment at which a candidate may have room, at most
	// MaxWait. It is only set when none was chosen.
	Wait time.Duration
	// Lacks are the keys of the slots that a Demand lacks which lacks nothing else:
	// when one is given back, the request may be admitted. Those of Shared alone, or
	// of the candidates in their order, where a key may come twice. Only set when no
	// candidate was chosen; nil: no slot can help.
	Lacks []string
	// Usage is the state of the windows: those of Shared, then those of each
	// candidate. It ends after the last one that was looked at.
	Usage []Usage
}

// Usage is the state of one window after a Request.
type Usage struct {
	Used int64 // charges in the window, those of the request included
	// Reset is the time until the window is empty if nothing more is charged.
	Reset time.Duration
	// Wait is the time until this request has room in it; 0: it has.
	Wait time.Duration
}

// Correction changes a charge in the slice where it was made. A slice that has
// left the window is not changed, and none falls below zero.
type Correction struct {
	Key    string
	Second int64
	Delta  int64
}

// Settlement is what a request gives back.
type Settlement struct {
	ID          string // of the Request that took the slots
	Corrections []Correction
	Slots       []string // keys of the slots to give back
}

func (s *Settlement) empty() bool { return len(s.Corrections) == 0 && len(s.Slots) == 0 }

// Held is one slot that is held.
type Held struct{ Key, ID string }

// Beat is what a replica tells the others once a second.
type Beat struct {
	Load  map[string]int64 // attempts running here, per deployment; zeros left out
	Watch []string         // keys of windows whose use is asked for
	Slots []string         // keys of slots of which it is asked how many are held
}

// Peers is what a replica learns of the others.
type Peers struct {
	Replicas int              // alive, this one included; at least 1
	Foreign  int              // those of them that keep their limits under keys of another version
	Load     map[string]int64 // attempts running on the other replicas
	Used     []int64          // of each watched window
	Held     []int64          // of each key of slots
	Epoch    string           // another one: the store has lost its data. Memory has none
}
