package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is the store of many processes. Its clock is the server's. Every call is
// one round trip, unless the server has forgotten a script. It is safe for
// concurrent use. It neither retries nor falls back: [Shared] does.
type Redis struct {
	client  redis.UniversalClient
	once    redis.Scripter // client, for the scripts: see noRetryClient
	scripts scripts
	keys    keys
	settled string // key of the number of our last call of settle.lua: see callNumber
	replica string
	maxBlob int // in bytes
	skipped skipped
	now     func() time.Time
	skew    atomic.Pointer[skew] // nil: unknown
}

// skew is how far the server's clock is ahead of ours.
type skew struct {
	ahead time.Duration
	took  time.Duration // the call that it was measured with; half of it may be wrong
	at    time.Time
}

// RedisOptions are what a Redis needs.
type RedisOptions struct {
	Server  Server
	Prefix  string           // of all keys but blobs; default "isthmus:"
	Replica string           // names this process among the others; required
	Log     *slog.Logger     // nil: nothing is logged
	Now     func() time.Time // required
}

// NewRedis makes a client. It connects at the first call, so that an absent
// server is no error here.
func NewRedis(o RedisOptions) (*Redis, error) {
	options, err := o.Server.options()
	if err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = "isthmus:"
	}
	client, keys := newClient(options), keysOf(o.Prefix, keyFormat)
	return &Redis{
		client: client, once: noRetryClient{client}, scripts: newScripts(), keys: keys, settled: keys.own + "settled/" + rand.Text(),
		replica: o.Replica, maxBlob: defaultMaxBlob, skipped: skipped{log: o.Log}, now: o.Now,
	}, nil
}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Ping asks whether the server answers; of a cluster, every node.
func (r *Redis) Ping(ctx context.Context) error {
	if cluster, ok := r.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return node.Ping(ctx).Err() })
	}
	return r.client.Ping(ctx).Err()
}

// errLate: the server came to the call only after the caller's deadline.
var errLate = errors.New("redis answered after the deadline")

// Acquire takes room for the first candidate that has it, or takes nothing.
func (r *Redis) Acquire(ctx context.Context, q *Request) (Reply, error) {
	for n := 0; ; n++ {
		reply, err := r.acquire(ctx, q)
		if !errors.Is(err, errLate) || ctx.Err() != nil || n == maxLate {
			return reply, err
		}
		// Somebody still waits. Either the clocks have moved against each other, and
		// the answer has just told by how much, or the call stood in line too long.
	}
}

// maxLate is how often a call that came too late is made again.
const maxLate = 9

func (r *Redis) acquire(ctx context.Context, q *Request) (Reply, error) {
	c := call{prefix: r.keys.own, keys: make([]string, 0, 8), packed: make([]byte, 0, 128)}
	c.keys = append(c.keys, r.keys.epoch)
	c.num(r.deadline(ctx, q.Useful), q.Lease.Milliseconds())
	c.num(int64(len(q.Return.Corrections)))
	for _, x := range q.Return.Corrections {
		c.key(x.Key)
		c.num(x.Second, x.Delta)
	}
	c.num(int64(len(q.Return.Slots)))
	for _, key := range q.Return.Slots {
		c.key(key)
	}
	c.demand(&q.Shared)
	c.num(int64(len(q.Candidates)))
	for i := range q.Candidates {
		c.demand(&q.Candidates[i])
	}
	sent := r.now()
	text, err := r.scripts.acquire.Run(ctx, r.once, c.keys, q.ID, c.packed, q.Epoch).Text()
	if err != nil {
		return Reply{}, fmt.Errorf("take room for a request: %w", err)
	}
	return r.readReply(text, sent, c.keys)
}

func (c *call) demand(d *Demand) {
	c.num(int64(len(d.Windows)), int64(len(d.Slots)))
	for _, w := range d.Windows {
		c.key(w.Key)
		c.num(w.Limit, w.Cost)
	}
	for _, s := range d.Slots {
		c.key(s.Key)
		c.num(s.Limit)
	}
}

// readReply reads what acquire.lua says. keys are those that it was called with.
func (r *Redis) readReply(text string, sent time.Time, keys []string) (Reply, error) {
	in := reader{text: text}
	reply := Reply{Chosen: int(in.num())}
	serverMS := in.num()
	reply.Second = serverMS / 1000
	reply.Wait = time.Duration(in.num()) * time.Millisecond
	r.skipped.read(&in)
	for n := in.num(); n > 0 && !in.bad; n-- {
		i := in.num()
		if in.bad = in.bad || i < 1 || i > int64(len(keys)); !in.bad {
			reply.Lacks = append(reply.Lacks, strings.TrimPrefix(keys[i-1], r.keys.own))
		}
	}
	if in.bad {
		return Reply{}, fmt.Errorf("take room for a request: redis answered %q", text)
	}
	r.learnClock(serverMS, sent, reply.Chosen == -2)
	if reply.Chosen == -2 {
		return Reply{}, errLate
	}
	reply.Usage = make([]Usage, 0, len(keys))
	for in.more() {
		u := Usage{Used: in.num()}
		u.Reset = time.Duration(in.num()) * time.Millisecond
		u.Wait = time.Duration(in.num()) * time.Millisecond
		reply.Usage = append(reply.Usage, u)
	}
	if in.bad {
		return Reply{}, fmt.Errorf("take room for a request: redis answered %q", text)
	}
	return reply, nil
}

// deadline is the caller's deadline by the server's clock, in ms: a server that
// was frozen must not charge what its caller has given up. It is rather too early
// than too late. useful is how long the answer is of use, if it is not until ctx
// ends. 0: none.
func (r *Redis) deadline(ctx context.Context, useful time.Duration) int64 {
	end, ok := ctx.Deadline()
	if soon := time.Now().Add(useful); useful > 0 && (!ok || soon.Before(end)) {
		end, ok = soon, true
	}
	k := r.skew.Load()
	if !ok || k == nil {
		return 0
	}
	return r.now().Add(time.Until(end)).Add(k.ahead-k.took/2).UnixMilli() - 1
}

// learnClock measures the server's clock. A slow answer is a bad measure: it
// counts when there is no better one, or the better one is old or wrong.
func (r *Redis) learnClock(serverMS int64, sent time.Time, wrong bool) {
	now := r.now()
	took := now.Sub(sent)
	if k := r.skew.Load(); k != nil && took > 2*k.took && now.Sub(k.at) < 30*time.Second && !wrong {
		return
	}
	r.skew.Store(&skew{ahead: time.UnixMilli(serverMS).Sub(sent.Add(took / 2)), took: took, at: now})
}

// clock is the server's clock as far as it is known.
func (r *Redis) clock() time.Time {
	if k := r.skew.Load(); k != nil {
		return r.now().Add(k.ahead)
	}
	return r.now()
}

// Settle corrects charges and gives slots back.
func (r *Redis) Settle(ctx context.Context, all []Settlement) error {
	d := newOutbox()
	for i := range all {
		d.add(&all[i])
	}
	return r.deliver(ctx, d, 0)
}

// Renew holds the slots for another lease, those too whose lease has ended.
func (r *Redis) Renew(ctx context.Context, lease time.Duration, held []Held) error {
	d := newOutbox()
	for _, h := range held {
		d.renew(h)
	}
	return r.deliver(ctx, d, lease)
}

// deliver runs settle.lua over all of an outbox, in pieces so short that the server is not
// blocked for long.
func (r *Redis) deliver(ctx context.Context, d *outbox, lease time.Duration) error {
	for !d.empty() {
		if err := r.settle(ctx, d.take(pieceSize), lease, callNumber{}); err != nil {
			return err
		}
	}
	return nil
}

// callNumber makes a call of settle.lua idempotent, however often and however late the
// server runs it: one that was frozen still reads what was sent meanwhile.
type callNumber struct {
	epoch  string // of a Beat: a server that has lost its data since refuses; "": none does
	number int64  // higher than those of all calls before; 0: the call is carried out each time
}

func (r *Redis) settle(ctx context.Context, piece *outbox, lease time.Duration, of callNumber) error {
	c := call{prefix: r.keys.own, keys: append(make([]string, 0, 8), r.keys.epoch, r.settled), packed: make([]byte, 0, 128)}
	c.num(of.number, lease.Milliseconds())
	args := piece.encode(append(make([]any, 0, 2+len(piece.released)+len(piece.renewed)), nil, of.epoch), &c)
	args[0] = c.packed
	sent := r.now()
	text, err := r.scripts.settle.Run(ctx, r.once, c.keys, args...).Text()
	if err == nil {
		err = r.readClock(text, sent)
	}
	if err != nil {
		return fmt.Errorf("settle requests: %w", err)
	}
	return nil
}

// readClock reads the server's clock and what was skipped, of which text is all.
func (r *Redis) readClock(text string, sent time.Time) error {
	in := reader{text: text}
	serverMS := in.num()
	r.skipped.read(&in)
	if in.bad {
		return fmt.Errorf("redis answered %q", text)
	}
	r.learnClock(serverMS, sent, false)
	return nil
}
