package extproc

import (
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// Settings are what the request path needs besides routing. The zero value of
// each field is usable.
type Settings struct {
	MasterKey secret.Text // zero: nobody is asked for a key
	MaxBody   int64       // bytes; 0 = 100 MiB
	Verbose   bool        // tell clients of each attempt, in a header
}

// Gateway is one configuration in force. An exchange keeps the Gateway it began
// under to its end.
type Gateway struct {
	router  *routing.Router
	auth    authenticator
	maxBody int64
	verbose bool
	owner   *Gateways
}

// defaultMaxBody is the limit of a request body in bytes.
const defaultMaxBody = 100 << 20

// Gateways holds the configuration in force and what outlives it: metrics, the
// log and the draining state. It is safe for concurrent use.
type Gateways struct {
	current atomic.Pointer[Gateway]
	drain   atomic.Bool
	open    atomic.Int64 // exchanges that have not ended
	giving  atomic.Bool  // memory is about to be given back
	metrics *metrics.Metrics
	log     *slog.Logger
}

// NewGateways returns an empty holder; Use must be called before requests come.
func NewGateways(m *metrics.Metrics, log *slog.Logger) *Gateways {
	return &Gateways{metrics: m, log: log}
}

// Use puts a configuration in force for the requests that come from now on.
func (gs *Gateways) Use(router *routing.Router, s Settings) {
	if s.MaxBody <= 0 {
		s.MaxBody = defaultMaxBody
	}
	gs.current.Store(&Gateway{
		router: router, auth: newAuthenticator(s.MasterKey), maxBody: s.MaxBody, verbose: s.Verbose, owner: gs,
	})
}

// Current returns the configuration in force.
func (gs *Gateways) Current() *Gateway { return gs.current.Load() }

// Drain refuses new requests from now on; those that run go on.
func (gs *Gateways) Drain() { gs.drain.Store(true) }

// Open is the number of requests that have not ended.
func (gs *Gateways) Open() int64 { return gs.open.Load() }

func (g *Gateway) draining() bool { return g.owner.drain.Load() }

// hugeBody is from which size on a request's memory is given back to the system
// when it ends, in bytes: the collector would keep it for minutes.
const hugeBody = 4 << 20

// giveBack returns unused memory to the system soon, once for all that ends until
// then.
func (gs *Gateways) giveBack() {
	if gs.giving.CompareAndSwap(false, true) {
		time.AfterFunc(time.Second, func() {
			gs.giving.Store(false)
			runtime.GC() // pools let go of their memory at the second collection
			debug.FreeOSMemory()
		})
	}
}
