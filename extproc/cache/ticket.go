package cache

import (
	"context"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// Reply is the cache's answer to a request: an Entry, or a Ticket for the one
// who must ask a provider.
type Reply struct {
	Status Status
	Entry  *Entry  // nil unless Status is Hit
	Ticket *Ticket // nil when there is an Entry
}

// Ask looks for the answer to a request that [Cache.Uses] approved. When an
// identical request is running, it waits for that one's answer; a stream's is
// there when the stream has ended. Requests with no-cache, no-store or an age
// limit neither wait nor are waited for. Replicas do not wait for each other.
//
// The caller that gets a Ticket asks a provider and then ends the Ticket, as the
// methods of Ticket say. When ctx ends, Ask returns a miss at once: whether the
// client has left is the caller's to see.
func (c *Cache) Ask(ctx context.Context, key Key, controls Controls) Reply {
	return c.ask(ctx, key, controls, c.Lookup)
}

// lookup finds a stored answer.
type lookup func(context.Context, Key, Controls) (*Entry, error)

func (c *Cache) ask(ctx context.Context, key Key, controls Controls, find lookup) Reply {
	ticket := &Ticket{cache: c, key: key, controls: controls}
	if controls.NoCache {
		c.stats.bypasses.Add(1)
		return Reply{Status: Bypass, Ticket: ticket}
	}
	if !controls.NoStore && controls.MaxAge == 0 {
		var shared *Entry
		if ticket.turn, shared = c.join(ctx, key); shared != nil {
			return Reply{Status: Hit, Entry: shared}
		}
		if ticket.turn == nil {
			c.stats.misses.Add(1)
			return Reply{Status: Miss, Ticket: ticket}
		}
	}
	returned := false
	defer func() {
		if !returned { // the store panics: no request may wait for this one
			ticket.Leave()
		}
	}()
	e, err := find(ctx, key, controls)
	returned = true
	if err == nil {
		ticket.end(shared, e)
		return Reply{Status: Hit, Entry: e}
	}
	return Reply{Status: Miss, Ticket: ticket}
}

// join returns the turn of a leader, or what its leader shared; neither when the
// request goes by itself.
func (c *Cache) join(ctx context.Context, key Key) (*turn, *Entry) {
	t, leads := c.flights.join(key)
	if leads {
		return t, nil
	}
	got := t.wait(ctx, c.cfg.MaxWait)
	if got.entry != nil {
		c.stats.shared.Add(1)
		return nil, got.entry
	}
	if got.lead {
		return t, nil
	}
	return nil, nil
}

// Ticket is the duty of a request that goes to a provider: others may wait for
// what it brings. One of Done, Unstorable, Failed and Leave ends it; calls after
// the first do nothing, so that Leave may stand where every request ends. All
// methods may be called on a nil Ticket. It is not safe for concurrent use.
type Ticket struct {
	cache    *Cache
	key      Key
	controls Controls
	turn     *turn  // nil: no request can wait for it
	batch    *Batch // nil: the answer is stored whole
	over     bool
}

// Recorder returns the Recorder for the answer, or nil when it is not to be
// stored. stream says what the client gets.
func (t *Ticket) Recorder(req *chat.Request, stream bool) *Recorder {
	if t == nil || t.over || t.controls.NoStore {
		return nil
	}
	return NewRecorder(req, stream, t.cache.cfg.MaxEntry)
}

// Done stores the answer and gives it to those who wait.
func (t *Ticket) Done(e *Entry) {
	if t == nil || t.over {
		return
	}
	switch {
	case t.controls.NoStore:
	case t.batch != nil:
		t.batch.store(e, t.controls)
	default:
		t.cache.Store(t.key, e, t.controls)
	}
	t.end(shared, e)
}

// Unstorable says that the answer is for this client only; those who wait ask by
// themselves. Call it as soon as it is known.
func (t *Ticket) Unstorable() {
	if t == nil || t.over {
		return
	}
	t.cache.stats.refused.Add(1)
	t.end(unsharing, nil)
}

// Failed says that no provider gave an answer; the next of those who wait tries.
func (t *Ticket) Failed() { t.end(failed, nil) }

// Leave says that the client left before there was an answer; the next of those
// who wait takes over.
func (t *Ticket) Leave() { t.end(vanished, nil) }

func (t *Ticket) end(how ending, e *Entry) {
	if t == nil || t.over {
		return
	}
	t.over = true
	if t.turn != nil {
		t.turn.end(how, e)
	}
}
