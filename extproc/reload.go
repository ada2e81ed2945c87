package extproc

import (
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/routing"
)

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
		unenforced: s.Unenforced,
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
	return rt.current.Swap(g)
}

// Open is the number of requests under this configuration that have not ended. A
// request that has just come may take it up until a moment after it was replaced.
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
