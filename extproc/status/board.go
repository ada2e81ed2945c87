package status

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Interval is how often a Board looks at the gateway while somebody watches.
const Interval = time.Second

// Board is the whole that the page shows, in parts of which it knows when they
// changed last. It works only when it is asked. It is safe for concurrent use.
type Board struct {
	source  func() Snapshot
	history *History
	now     func() time.Time

	mu       sync.Mutex
	looked   time.Time
	version  int64
	whole    int64 // readers who have seen less get everything: something has gone since
	parts    map[place]*part
	requests int64 // number of the next one
}

// place is where a part stands: the sections are objects of parts by key.
type place struct{ section, key string }

type part struct {
	text    jsontext.Value
	version int64
}

// NewBoard returns a Board of what source tells. source must not block.
func NewBoard(source func() Snapshot, history *History, now func() time.Time) *Board {
	return &Board{source: source, history: history, now: now, parts: map[place]*part{}}
}

// frame is what a reader gets.
type frame struct {
	Version  int64                                `json:"version"`
	Now      int64                                `json:"now"`  // Unix milliseconds
	Full     bool                                 `json:"full"` // this is all there is: forget what came before
	Sections map[string]map[string]jsontext.Value `json:"sections"`
}

// Frame returns what has changed since a version, and the version it leads to.
// Since 0 that is everything. When nothing has changed the frame is nil.
func (b *Board) Frame(since int64) ([]byte, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.looked.IsZero() || now.Sub(b.looked) >= Interval {
		if err := b.update(); err != nil {
			return nil, since, err
		}
		b.looked = now
	}
	if since == b.version {
		return nil, since, nil
	}
	f := frame{Version: b.version, Now: now.UnixMilli(), Sections: map[string]map[string]jsontext.Value{}}
	if since < b.whole || since > b.version || since == 0 {
		f.Full, since = true, 0
	}
	for at, p := range b.parts {
		if p.version <= since {
			continue
		}
		if f.Sections[at.section] == nil {
			f.Sections[at.section] = map[string]jsontext.Value{}
		}
		f.Sections[at.section][at.key] = p.text
	}
	text, err := json.Marshal(&f, json.Deterministic(true))
	return text, b.version, err
}

// update takes a snapshot and gives what changed since the last one a new version.
func (b *Board) update() error {
	l := comparison{board: b, version: b.version + 1, seen: make(map[place]bool, len(b.parts))}
	s := b.source()
	l.put("gateway", "", &s.Gateway)
	for i := range s.Deployments {
		l.put("deployments", s.Deployments[i].ID, &s.Deployments[i])
	}
	for id, t := range b.history.trail() {
		l.put("trails", id, &t)
	}
	for i := range s.Names {
		l.put("names", s.Names[i].Name, &s.Names[i])
	}
	// These are few and change together, or never.
	l.put("rest", "left_out", &s.LeftOut)
	l.put("rest", "unenforced", &s.Unenforced)
	l.put("rest", "cache", s.Cache)
	l.put("rest", "queue", s.Queue)
	l.put("rest", "limits", &s.Limits)
	l.put("rest", "sinks", &s.Sinks)
	l.ended()
	l.forget()
	if l.changed {
		b.version = l.version
	}
	return l.err
}

// comparison is one run of update.
type comparison struct {
	board   *Board
	version int64 // of what has changed
	seen    map[place]bool
	changed bool
	err     error
}

// put sets a part.
func (l *comparison) put(section, key string, value any) {
	at := place{section, key}
	l.seen[at] = true
	text, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		l.err = err
		return
	}
	if old := l.board.parts[at]; old != nil && bytes.Equal(old.text, text) {
		return
	}
	l.board.parts[at] = &part{text, l.version}
	l.changed = true
}

// ended takes in the requests that have ended since the last look. One that left
// the History leaves the Board without an event: readers keep the newest, too.
func (l *comparison) ended() {
	b := l.board
	for _, r := range b.history.last(b.requests) {
		l.put("requests", strconv.FormatInt(r.number, 10), &r.Request)
		b.requests = r.number + 1
	}
	for at := range b.parts {
		if at.section != "requests" {
			continue
		}
		if n, _ := strconv.ParseInt(at.key, 10, 64); n < b.requests-kept {
			delete(b.parts, at)
			continue
		}
		l.seen[at] = true
	}
}

// forget removes what the snapshot no longer has.
func (l *comparison) forget() {
	for at := range l.board.parts {
		if !l.seen[at] {
			delete(l.board.parts, at)
			l.changed, l.board.whole = true, l.version
		}
	}
}
