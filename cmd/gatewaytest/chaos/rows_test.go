package chaos

import (
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// row is one fault, and what a client may see of it.
type row struct {
	name string
	// begin brings the fault, and returns what ends it.
	begin func(*stack) (end func())
	// on and off are for how long the fault is there, and not there, by turns, until the
	// row's time is up. on 0: all the time.
	on, off time.Duration

	replicas int           // of the service; 0: one
	deadline time.Duration // of each request; 0: usualDeadline
	answered []string      // the models whose requests are all answered, as if nothing had happened; "*": every one
	cuts     bool          // an answer that has begun may be cut off
	dark     bool          // there may be nobody to take a connection
	anew     bool          // the metrics of the service begin anew
	loses    bool          // what the service held in memory is lost: records, what the limits were to be told
	stands   bool          // the service or the Envoy is stopped for longer than the other one waits for it
	bypassed bool          // Envoy answers some requests by itself, which then have no record
	relays   bool          // what a provider says may reach the client as it is, in an answer that is relayed (kind.relayed)
	endless  bool          // an answer may have no end: its client leaves at its deadline
}

// usualDeadline is when a client has waited long enough: the time of a request, that of
// an answer's bytes, and what two busy processors need.
const usualDeadline = requestTime + 6*time.Second

// messageTime is how long Envoy waits for the service.
const messageTime = 10 * time.Second

func rows() []row {
	// A request of the model limited that fails may find the good deployment's slots taken.
	all, healthy, steady := []string{"*"}, []string{"steady", "shared", "cascade"}, []string{"steady"}
	second := time.Second
	return append([]row{
		{name: "service-killed", begin: (*stack).killService, on: second, off: 4 * second, cuts: true, anew: true, loses: true,
			bypassed: true},
		{name: "service-restarted", begin: (*stack).restartService, on: 2 * second, off: 3 * second, anew: true, bypassed: true},
		{name: "service-stopped", begin: (*stack).stopService, on: messageTime + 2*second, off: 3 * second, deadline: 2*messageTime + requestTime,
			cuts: true, bypassed: true, stands: true},
		{name: "service-paused", begin: (*stack).stopService, on: second / 2, off: second, answered: []string{"steady"}},

		{name: "envoy-killed", begin: (*stack).killEnvoy, on: second, off: 3 * second, cuts: true, dark: true},
		{name: "envoy-restarted", begin: (*stack).restartEnvoy, on: second, off: 3 * second, cuts: true, dark: true},
		{name: "envoy-stopped", begin: (*stack).stopEnvoy, on: 3 * second, off: 2 * second, cuts: true,
			stands: true}, // longer than a stream may pause

		{name: "redis-killed", begin: (*stack).killRedis, on: 2 * second, off: 3 * second, answered: all},
		{name: "redis-frozen", begin: (*stack).freezeRedis, on: 3 * second, off: 3 * second, answered: all},
		{name: "redis-paused", begin: (*stack).pauseRedis, on: pauseTime, off: 3 * second, answered: all},
		{name: "redis-full", begin: (*stack).fillRedis, on: 3 * second, off: 3 * second, answered: all},
		{name: "redis-readonly", begin: (*stack).demoteRedis, on: 3 * second, off: 3 * second, answered: all},
		{name: "redis-noreplicas", begin: (*stack).isolateRedis, on: 3 * second, off: 3 * second, answered: all},
		{name: "redis-wrongtype", begin: (*stack).mistypeRedis, on: 3 * second, off: 3 * second, answered: all},
	},
		row{name: "replica-killed", replicas: 2, begin: (*stack).killService, on: second, off: 4 * second, cuts: true, anew: true, loses: true,
			bypassed: true},
		row{name: "replica-restarted", replicas: 3, begin: (*stack).restartService, on: second, off: 3 * second, answered: all, anew: true},
		row{name: "replica-stopped", replicas: 2, begin: (*stack).stopService, on: messageTime + 2*second, off: 3 * second,
			deadline: 2*messageTime + requestTime, cuts: true, bypassed: true, stands: true},
		row{name: "replicas-envoy-killed", replicas: 2, begin: (*stack).killEnvoy, on: second, off: 3 * second, cuts: true, dark: true},
		row{name: "replicas-redis-killed", replicas: 2, begin: (*stack).killRedis, on: 2 * second, off: 3 * second, answered: all},
		row{name: "replicas-redis-frozen", replicas: 2, begin: (*stack).freezeRedis, on: 3 * second, off: 3 * second, answered: all},

		row{name: "provider-refuses", begin: (*stack).refuse, on: 3 * second, off: second, answered: healthy},
		row{name: "provider-hangs", begin: with(hangs), answered: healthy},
		row{name: "provider-resets", begin: with(resets), answered: steady, cuts: true},
		row{name: "provider-half-closes", begin: with(halfCloses), answered: steady, cuts: true},
		row{name: "provider-drips", begin: with(drips), deadline: usualDeadline + 60*second, answered: steady, cuts: true},
		row{name: "provider-garbage", begin: with(garbage), answered: steady, cuts: true, relays: true},
		row{name: "provider-lengths", begin: with(lengths), answered: steady, cuts: true, relays: true},
		row{name: "provider-gzip", begin: with(zips), answered: steady, cuts: true},
		row{name: "provider-endless", begin: with(endless), answered: steady, cuts: true, endless: true},
		row{name: "provider-errors", begin: with(errs), answered: healthy},
		row{name: "provider-mixed", begin: with(mixed), on: 2 * second, off: second, deadline: usualDeadline + 60*second, answered: steady,
			cuts: true, relays: true},
	)
}

// mustAnswer reports whether all requests for a model are answered, whatever fails.
func (r *row) mustAnswer(model string) bool {
	for _, m := range r.answered {
		if m == "*" || m == model {
			return true
		}
	}
	return false
}

// with is the fault of a provider.
func with(f fault) func(*stack) func() {
	return func(s *stack) func() {
		s.bad.fault.Store(&f)
		return func() { s.bad.fault.Store(nil) }
	}
}

// refuse has the provider end what it answers, and take no connection any more.
func (s *stack) refuse() func() {
	s.bad.refuse()
	return func() {
		if err := s.bad.listen(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *stack) killService() func() {
	r := s.nextReplica()
	r.end(syscall.SIGKILL)
	return func() { s.startReplica(r) }
}

// restartService asks a replica to end, which waits for its requests.
func (s *stack) restartService() func() {
	r := s.nextReplica()
	r.end(syscall.SIGTERM)
	return func() { s.startReplica(r) }
}

func (s *stack) stopService() func() {
	r := s.nextReplica()
	r.signal(syscall.SIGSTOP)
	return func() { r.signal(syscall.SIGCONT) }
}

func (s *stack) killEnvoy() func() {
	s.endEnvoy(syscall.SIGKILL)
	return s.startEnvoy
}

func (s *stack) restartEnvoy() func() {
	s.endEnvoy(syscall.SIGTERM)
	return s.startEnvoy
}

func (s *stack) stopEnvoy() func() {
	s.signalEnvoy(syscall.SIGSTOP)
	return func() { s.signalEnvoy(syscall.SIGCONT) }
}

// killRedis loses all that Redis held.
func (s *stack) killRedis() func() {
	s.redis.Kill()
	return func() { s.redis.Restart(s.t) }
}

func (s *stack) freezeRedis() func() {
	s.redis.Freeze(s.t)
	return func() { s.redis.Thaw(s.t) }
}

// pauseTime is how long a paused Redis answers nothing: not even the command that would
// end it.
const pauseTime = 2 * time.Second

// pauseRedis has Redis take connections and commands, and answer none.
func (s *stack) pauseRedis() func() {
	s.command("CLIENT", "PAUSE", pauseTime.Milliseconds(), "ALL")
	return func() {}
}

func (s *stack) fillRedis() func() {
	s.command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	return func() { s.command("CONFIG", "SET", "maxmemory", "0") }
}

// demoteRedis makes a replica of it whose master is away, as a failover does to the old
// master: it answers reads and refuses writes.
func (s *stack) demoteRedis() func() {
	s.command("REPLICAOF", "127.0.0.1", "1")
	return func() { s.command("REPLICAOF", "NO", "ONE") }
}

// isolateRedis has it refuse writes for want of replicas.
func (s *stack) isolateRedis() func() {
	s.command("CONFIG", "SET", "min-replicas-to-write", "1")
	return func() { s.command("CONFIG", "SET", "min-replicas-to-write", "0") }
}

// mistypeRedis puts values of another type where the limits and the stored answers are:
// at one moment, as whatever Redis loses with the epoch it loses at once. A Redis that has
// failed several times in a minute is asked again after some seconds only, and is empty
// until then.
func (s *stack) mistypeRedis() func() {
	var keys []string
	asynctest.Await(s.t, "the service uses Redis again", func() bool {
		var err error
		if keys, err = s.client.Keys(s.t.Context(), "isthmus*").Result(); err != nil {
			s.t.Fatal(err)
		}
		return len(keys) > 0
	})
	_, err := s.client.TxPipelined(s.t.Context(), func(p redis.Pipeliner) error {
		p.Del(s.t.Context(), keys...)
		for _, key := range keys {
			if strings.Contains(key, "epoch") { // a text by right
				p.RPush(s.t.Context(), key, "x")
				continue
			}
			p.Set(s.t.Context(), key, "x", 0)
		}
		return nil
	})
	if err != nil {
		s.t.Errorf("redis: %v", err)
	}
	return func() { s.command(append([]any{"DEL"}, anys(keys)...)...) }
}

func anys(texts []string) (all []any) {
	for _, each := range texts {
		all = append(all, each)
	}
	return all
}
