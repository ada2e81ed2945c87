package extproc

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// caching is what a request has to do with the response cache. Stream 1 owns it.
type caching struct {
	status   cache.Status // "": there is no cache
	key      cache.Key
	ticket   *cache.Ticket   // nil: no request waits for the answer, and it is not stored
	batch    *cache.Batch    // embeddings, of which some are stored
	recorder *cache.Recorder // of the answer; nil when it is not stored
}

// askCache answers a request from the cache, or returns nil: then the request
// goes on, with a Ticket if its answer is worth storing. It may wait for an
// identical request that is running.
func (s *requestStream) askCache(call *routing.Call) *wire.Answer {
	x := s.exchange
	c := x.snapshot.cache
	if c == nil {
		return nil
	}
	controls, err := cache.ReadControls(x.request, s.header)
	if err != nil {
		return s.refuse(asError(err))
	}
	if x.caching.status = cache.Bypass; !c.Uses(x.request, controls) {
		return nil
	}
	began := time.Now()
	ctx, stop := s.extendMessageTimeout()
	defer stop()
	var reply cache.Reply
	scope := x.snapshot.scope(x, call, controls, s.header)
	if batch, ok := x.snapshot.split(x.request, scope); ok {
		x.caching.key, x.caching.batch = batch.Key(), batch
		reply = c.AskBatch(ctx, batch, controls)
	} else {
		x.caching.key = c.Key(x.request, scope)
		reply = c.Ask(ctx, x.caching.key, controls)
	}
	x.caching.status, x.caching.ticket = reply.Status, reply.Ticket
	x.steps.cacheAnswered(x.caching.status, time.Since(began))
	if reply.Entry == nil {
		return nil
	}
	return s.cached(reply.Entry)
}

// scope is all that makes equal requests different for the cache.
func (g *Snapshot) scope(x *exchange, call *routing.Call, controls cache.Controls, header upstream.Header) cache.Scope {
	scope := cache.Scope{
		Tenant: x.caller, Namespace: controls.Namespace, Tags: call.Tags,
		Config: g.traits[g.router.ConfiguredName(x.request.Model)].digest,
	}
	scope.Vary = vary(header)
	return scope
}

// vary is what the client's header may change of an answer: the beta features that
// it asks a provider for. The order of a list does not matter.
func vary(header upstream.Header) (out upstream.Header) {
	if v := header.Get("openai-beta"); v != "" {
		out = append(out, upstream.Field{Name: "openai-beta", Value: v})
	}
	if words := header.Words("anthropic-beta"); len(words) > 0 {
		slices.Sort(words)
		out = append(out, upstream.Field{Name: "anthropic-beta", Value: strings.Join(words, ",")})
	}
	return out
}

// split takes embeddings apart where the deployments' vectors may be mixed.
func (g *Snapshot) split(req *chat.Request, scope cache.Scope) (*cache.Batch, bool) {
	if req.Endpoint != chat.Embeddings || !g.traits[g.router.ConfiguredName(req.Model)].mixable {
		return nil, false
	}
	return g.cache.Split(req, scope)
}

// cached answers with an entry.
func (s *requestStream) cached(e *cache.Entry) *wire.Answer {
	x := s.exchange
	if !x.outcome.cached(e, time.Since(x.started)) {
		return nil
	}
	header := upstream.Header{{Name: "content-type", Value: e.ContentType(x.request)}}
	if x.request.Stream {
		header.Set("cache-control", "no-cache")
	}
	for _, f := range x.publicHeaders(0, nil) {
		header.Set(f.Name, f.Value)
	}
	for _, f := range cache.Headers(cache.Hit, x.caching.key, e, time.Now()) {
		header.Set(f.Name, f.Value)
	}
	body := e.Body(x.request)
	s.notifyHooks(body)
	return wire.Immediate(http.StatusOK, header, body, "isthmus_cache").WithMetadata(x.metadata())
}

// requestFor is what a hop is asked for: the items of a batch that are not stored, or
// the client's request. A fallback's vectors are of another model and cannot be
// mixed with stored ones.
func (x *exchange) requestFor(hop *routing.Hop) *chat.Request {
	if b := x.caching.batch; b != nil && b.Partial() && hop.Fallback == 0 {
		return b.Request()
	}
	return x.request
}

// keep begins to record the answer of a hop, if it may be stored.
func (c *caching) keep(req *chat.Request, hop *routing.Hop, stream bool) {
	if hop.Fallback > 0 {
		c.ticket.Unstorable()
		return
	}
	c.recorder = c.ticket.Recorder(req, stream)
}

// feed records what goes to the client.
func (c *caching) feed(out []byte) {
	if c.recorder == nil {
		return
	}
	if c.recorder.Feed(out); !c.recorder.Recording() {
		c.recorder = nil
		c.ticket.Unstorable()
	}
}

// store ends the recording of an answer that was read to its end.
func (c *caching) store(hop *routing.Hop, result chat.Result) {
	switch {
	case result.Failure != nil:
		c.ticket.Failed()
	case c.recorder != nil:
		entry, err := c.recorder.Finish(servedBy(hop), result, time.Now())
		if err != nil {
			c.ticket.Unstorable()
			return
		}
		c.ticket.Done(entry)
	}
}
