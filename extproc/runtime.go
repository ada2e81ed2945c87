package extproc

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback/all"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/status"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// Settings are what the request path needs besides routing. The zero value of
// each field is usable.
type Settings struct {
	MasterKey secret.Text // zero: no key is asked for
	MaxBody   int64       // bytes; 0 = 100 MiB
	Verbose   bool        // tell clients of each attempt, in a header
	// StreamFailover: until its first content, a stream that fails may be answered by
	// another attempt.
	StreamFailover bool
	Cache          *cache.Cache
	Limiter        *limit.Limiter  // nil: no limits
	Tokens         *tokens.Counter // for answers without usage; nil: they stay without
	Callbacks      *all.Set        // nil: none
	// TenantHeader names the caller, lower case; "": callers are not told apart.
	TenantHeader string
	// Origins are those of the web pages that may read answers in a browser; "*" is
	// all; none: no page.
	Origins []string
	MaxHold time.Duration // the longest that a request waits before its first attempt; 0 = 30 s
	// Unenforced names what the configuration restricts and isthmus does not enforce.
	Unenforced []string
}

// Snapshot is one configuration in force. An exchange keeps the Snapshot it began
// under to its end.
type Snapshot struct {
	router  *routing.Router
	auth    authenticator
	maxBody int64
	verbose bool
	cache   *cache.Cache
	traits  map[string]traits // by the names that clients ask for
	limiter *limit.Limiter
	tokens  *tokens.Counter
	maxHold time.Duration
	tenancy tenancy
	// streamFailover: see Settings.StreamFailover.
	streamFailover bool
	pages          crossOrigin
	// callbacks are the sinks and hooks; wants is what they listen to.
	callbacks *all.Set
	wants     all.Wants
	// wantsText: a sink or hook is shown the text of answers, so that they must be read.
	wantsText bool
	// unenforced is told on the status page and in /health.
	unenforced []string
	runtime    *Runtime
	open       atomic.Int64 // exchanges that have not ended
}

// traits are what the cache must know of the deployments behind a name.
type traits struct {
	digest  [sha256.Size]byte // answers of another one are no answers
	mixable bool              // embeddings of its deployments may stand in one answer
}

// defaultMaxBody is the limit of a request body in bytes.
const defaultMaxBody = 100 << 20

// defaultMaxHold is how long a request may be held before its first attempt.
const defaultMaxHold = 30 * time.Second

// Runtime holds the configuration in force and what outlives it: metrics, the
// log and the draining state. It is safe for concurrent use.
type Runtime struct {
	current atomic.Pointer[Snapshot]
	drain   atomic.Bool  // this replica does not serve any more: see Drain
	refuse  atomic.Bool  // and admits no new request
	open    atomic.Int64 // exchanges that have not ended
	giving  atomic.Bool  // memory is about to be given back
	metrics *metrics.Metrics
	guard   *guard.Guard
	tracer  *trace.Tracer // nil: no tracing
	steps   bool          // each step of a request is logged
	log     *slog.Logger

	started         time.Time
	recent          *status.History
	unauthenticated unauthenticatedLog
	reloads         reloads
	tokenSizes      tokenSizes
	envoy           envoyState
}

// NewRuntime returns an empty holder; Use must be called before requests come.
func NewRuntime(m *metrics.Metrics, log *slog.Logger) *Runtime {
	rt := &Runtime{
		metrics: m, guard: guard.New(log, m.Panicked), log: log, steps: log.Enabled(context.Background(), slog.LevelDebug),
		started: time.Now(), recent: status.NewHistory(time.Now),
	}
	rt.watch()
	return rt
}

// Guard is what the goroutines and timers of the service run under.
func (rt *Runtime) Guard() *guard.Guard { return rt.guard }

// Current returns the configuration in force. It may be replaced and taken apart while
// the caller looks at it: a request takes it by acquire.
func (rt *Runtime) Current() *Snapshot { return rt.current.Load() }

// acquire returns the configuration in force, under which one request more is open:
// nothing takes it apart until release.
func (rt *Runtime) acquire() *Snapshot {
	rt.open.Add(1)
	for {
		g := rt.current.Load()
		g.open.Add(1)
		if rt.current.Load() == g { // whoever replaces it from here on sees the request
			return g
		}
		g.open.Add(-1)
	}
}

// release ends a request that acquire has begun.
func (g *Snapshot) release() {
	g.runtime.open.Add(-1)
	g.open.Add(-1)
}

// Open is the number of requests that have not ended.
func (rt *Runtime) Open() int64 { return rt.open.Load() }

// hugeBody is from which size on a request's memory is given back to the system
// when it ends, in bytes: the collector would keep it for minutes.
const hugeBody = 4 << 20

// freeMemory returns unused memory to the system soon, once for all that ends until
// then.
func (rt *Runtime) freeMemory() {
	if rt.giving.CompareAndSwap(false, true) {
		rt.guard.AfterFunc(time.Second, "the giving back of memory", func() {
			rt.giving.Store(false)
			runtime.GC() // pools let go of their memory at the second collection
			debug.FreeOSMemory()
		})
	}
}

// envoyState is what is known of the Envoy that this process runs itself. One that
// another process runs is never told of, and counts as one that serves.
type envoyState struct {
	ends atomic.Int64 // how often it ended by itself
	down atomic.Int64 // since when it does not serve, in Unix nanoseconds; 0: it serves
}

// EnvoyDown notes that the Envoy that this process runs has ended by itself, or
// could not be started again. Until EnvoyUp the gateway is not ready.
func (rt *Runtime) EnvoyDown() {
	rt.envoy.ends.Add(1)
	rt.envoy.down.CompareAndSwap(0, time.Now().UnixNano())
}

// EnvoyUp notes that an Envoy serves again.
func (rt *Runtime) EnvoyUp() { rt.envoy.down.Store(0) }

// Use puts a configuration in force for the requests that come from now on. Those
// that run stay under the one they began with, which is returned: it may be taken
// apart when no request is Open under it. It is nil the first time.
func (rt *Runtime) Use(router *routing.Router, s Settings) (replaced *Snapshot) {
	if s.MaxBody <= 0 {
		s.MaxBody = defaultMaxBody
	}
	if s.MaxHold <= 0 {
		s.MaxHold = defaultMaxHold
	}
	g := &Snapshot{
		router: router, auth: newAuthenticator(s.MasterKey), maxBody: s.MaxBody, verbose: s.Verbose, runtime: rt,
		callbacks: s.Callbacks, wants: s.Callbacks.Wants(), wantsText: s.Callbacks.Wants().Text(), tenancy: newTenancy(s.TenantHeader),
		cache: s.Cache, limiter: s.Limiter, tokens: s.Tokens, maxHold: s.MaxHold, pages: newCrossOrigin(s.Origins),
		unenforced: s.Unenforced, streamFailover: s.StreamFailover,
	}
	if s.Cache != nil {
		g.traits = make(map[string]traits)
		for _, name := range router.Names() {
			targets := router.Targets(name)
			g.traits[name] = traits{digest: cache.ConfigDigest(targets), mixable: cache.Mixable(targets)}
		}
	}
	var ids []string
	for _, d := range router.Deployments() {
		ids = append(ids, d.ID)
	}
	rt.recent.Track(ids)
	rt.reloads.loaded.Store(time.Now().UnixNano())
	if replaced = rt.current.Swap(g); replaced != nil && replaced.limiter != nil {
		replaced.limiter.ReplacedBy(g.limiter)
	}
	return replaced
}

// Open is the number of requests under this configuration that have not ended. When
// it is 0 after the configuration was replaced, no request takes it any more.
func (g *Snapshot) Open() int64 { return g.open.Load() }

// reloads is how often the configuration was replaced, for people to look at.
type reloads struct {
	loaded        atomic.Int64 // when the one in force was, in Unix nanoseconds
	refused       atomic.Int64 // when the last one that could not be used came; 0: what came last is in force
	good, useless atomic.Int64
}

// Reloaded notes that a changed configuration was put in force, or that it could
// not be used and the old one stays.
func (rt *Runtime) Reloaded(err error) {
	if err != nil {
		rt.reloads.useless.Add(1)
		rt.reloads.refused.Store(time.Now().UnixNano())
		return
	}
	rt.reloads.good.Add(1)
	rt.reloads.refused.Store(0)
}
