package extproc

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// reporter is what a request keeps for the callbacks. Stream 1 fills it; after
// the request's end nobody changes it. The zero value reports without text.
type reporter struct {
	wish   callback.Wish
	reader *callback.ResponsesReader // of a Responses API stream
	text   *cache.Recorder           // of other answers; shared with the cache where that records too
	answer jsontext.Value            // what the client got
	events sse.Reader                // of the stream that hooks are told of
}

// maxShown bounds the text of an answer that is shown to sinks, in bytes.
const maxShown = 1 << 20

// wishes reads how much of its text a request wants shown, where events show it
// before its end.
func (x *exchange) wishes() {
	if w := x.snapshot.wants; w.PreAPICall || w.PostAPICall || w.StreamEvent {
		x.reporter.wish = callback.ReadWish(x.header, callback.ReadInput(x.request).Wish)
	}
}

// listen begins to keep an answer for those who are shown it.
func (s *requestStream) listen(stream bool) {
	x := s.exchange
	if !x.snapshot.wants.Records() {
		return
	}
	switch {
	case x.request.Endpoint == chat.Responses && stream:
		x.reporter.reader = &callback.ResponsesReader{}
	case x.caching.recorder != nil:
		x.reporter.text = x.caching.recorder
	default:
		x.reporter.text = cache.NewRecorder(x.request, stream, maxShown)
	}
}

// hear passes on what goes to the client.
func (s *requestStream) hear(out []byte) {
	x := s.exchange
	if r := x.reporter.reader; r != nil {
		r.Feed(out)
	}
	if r := x.reporter.text; r != nil && r != x.caching.recorder {
		r.Feed(out)
	}
	if x.request.Stream && x.snapshot.wants.StreamEvent && s.response.form != unstreamed {
		s.streamed(out)
	}
}

// heard takes the answer as far as it was read. It comes before the cache
// finishes its recorder.
func (x *exchange) heard() {
	switch r := &x.reporter; {
	case r.answer != nil:
	case r.reader != nil:
		r.answer = r.reader.Answer()
	case r.text != nil:
		r.answer = r.text.Answer()
	}
	x.reporter.text, x.reporter.reader = nil, nil
}

// report makes the record of a request that has ended and hands it to the sinks.
func (x *exchange) report(rec *record) {
	g := x.snapshot
	if rec.quiet || !g.wants.Records() || x.request == nil {
		return
	}
	in := callback.ReadInput(x.request)
	r := &callback.Record{
		CallID: x.id, CallType: callback.CallType(rec.endpoint), Stream: x.request.Stream,
		TraceID:   cmp.Or(in.TraceID, x.header.Get("x-litellm-trace-id"), x.id),
		SessionID: cmp.Or(in.SessionID, x.header.Get("x-litellm-session-id")),
	}
	r.Messages, r.ModelParameters, r.Response = in.Messages, in.Parameters, x.reporter.answer
	r.EndUser = callback.Optional(in.User)
	r.Metadata.Requester = in.Metadata
	rec.fillTimes(r, x.started, x.request.Stream)
	rec.fillServed(r)
	rec.fillOutcome(r)
	x.fillCaller(r)
	g.callbacks.Record(r, callback.ReadWish(x.header, in.Wish))
}

// fillTimes fills in when things happened.
func (rec *record) fillTimes(r *callback.Record, started time.Time, stream bool) {
	end := started.Add(rec.took)
	r.StartTime, r.EndTime, r.CompletionStartTime = callback.At(started), callback.At(end), callback.At(end)
	r.ResponseTime = callback.Seconds(rec.took)
	if first := rec.outcome.firstByte; stream && first > 0 {
		r.CompletionStartTime, r.ResponseTime = callback.At(started.Add(first)), callback.Seconds(first)
	}
}

// fillServed fills in who answered and what it cost.
func (rec *record) fillServed(r *callback.Record) {
	o := &rec.outcome
	r.Model, r.ModelGroup = rec.model, rec.model
	var prices callback.Prices
	hop := o.served
	if n := len(rec.attempts); hop == nil && n > 0 {
		hop = &rec.attempts[n-1].hop // who failed
	}
	switch {
	case hop != nil:
		d := hop.Deployment
		r.Provider, r.Model, r.ModelGroup, r.ModelID = callback.Optional(d.Provider), d.Provider+"/"+hop.Model, hop.Group, d.ID
		r.APIBase = callback.Origin(d.BaseURL)
		r.HiddenParams.ModelName = hop.Model
		prices = callback.Prices{Input: d.InputCost, Output: d.OutputCost}
	case o.entry != nil:
		e := o.entry.Served
		r.Provider, r.Model, r.ModelGroup, r.ModelID = callback.Optional(e.Provider), e.Provider+"/"+e.Model, e.Group, e.Deployment
		r.HiddenParams.ModelName = e.Model
		r.CacheHit, r.CacheKey = true, callback.Optional(rec.cacheKey)
		r.Response = o.entry.JSON
		prices = rec.saved
	}
	r.HiddenParams.ModelID, r.HiddenParams.APIBase, r.HiddenParams.CacheKey = r.ModelID, r.APIBase, r.CacheKey
	said := callback.ReadAnswer(r.Response)
	r.ID = cmp.Or(o.result.ID, said.ID, r.CallID)
	r.HiddenParams.ResponseModel = cmp.Or(o.result.Model, said.Model)
	r.HiddenParams.FinishReason = cmp.Or(o.result.FinishReason, said.FinishReason)
	r.HiddenParams.OverheadMs = float64(rec.own.Microseconds()) / 1000
	if o.result.HasUsage {
		r.SetUsage(o.result.Usage, prices)
	}
	r.TokensEstimated = o.result.Estimated
}

// fillOutcome fills in how the request ended. What the client left is no failure,
// unless it had got nothing yet.
func (rec *record) fillOutcome(r *callback.Record) {
	o := &rec.outcome
	r.Status, r.HTTPStatus = callback.Success, o.status
	if o.ended != endedWhole {
		r.Aborted = callback.Optional(o.ended)
	}
	failure := o.failure
	switch {
	case failure != nil:
	case o.ended != endedWhole && o.served == nil:
		failure = clientGone()
		r.HTTPStatus = failure.Status
	case o.broken():
		failure = brokenOff(o.ended)
	}
	if failure != nil {
		r.Status = callback.Failure
		r.SetError(failure, string(r.Provider))
	}
	for _, a := range rec.attempts {
		r.Attempts = append(r.Attempts, callback.Attempt{
			ModelGroup: a.group, Deployment: a.deployment, Provider: a.provider, Status: a.status, Took: callback.Millis(a.took), Reason: a.reason,
		})
		if !slices.Contains(r.Metadata.AttemptedModels, a.group) {
			r.Metadata.AttemptedModels = append(r.Metadata.AttemptedModels, a.group)
		}
	}
}

// brokenOff is for the records only: the client had begun to get its answer.
func brokenOff(by ending) *upstream.Error {
	if by == endedTimeout {
		return &upstream.Error{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "stream_timeout", Message: "the provider stopped in the middle of its answer"}
	}
	return &upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "stream_cut", Message: "the provider's answer broke off"}
}

// fillCaller fills in who asked. Headers are no part of it: they hold keys.
func (x *exchange) fillCaller(r *callback.Record) {
	header := x.header
	route, _, _ := strings.Cut(header.Get(":path"), "?")
	ip, agent := callback.Optional(clientIP(header)), callback.Optional(header.Get("user-agent"))
	r.RequesterIPAddress, r.UserAgent = ip, agent
	r.Metadata.RequesterIP, r.Metadata.UserAgent, r.Metadata.RequestRoute = ip, agent, route
	if x.caller != sharedCaller && x.caller != unnamedCaller {
		r.Metadata.KeyAlias = callback.Optional(x.caller)
	}
	r.RequestTags = x.tags
}

// clientIP is the address that Envoy has last seen the request come from.
func clientIP(header upstream.Header) string {
	if ip := header.Get("x-envoy-external-address"); ip != "" {
		return ip
	}
	list := header.Get("x-forwarded-for")
	last := strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
	if net.ParseIP(last) == nil {
		return ""
	}
	return last
}

// calling tells the hooks that attempt n begins.
func (x *exchange) calling(n int, hop *routing.Hop) {
	if !x.snapshot.wants.PreAPICall {
		return
	}
	e := x.event(callback.PreAPICall, n, answererOf(hop))
	e.Messages = callback.ReadInput(x.request).Messages
	x.snapshot.callbacks.Event(e, x.reporter.wish)
}

// called tells the hooks that attempt n has ended.
func (x *exchange) called(n int, hop *routing.Hop, a *attempt) {
	if !x.snapshot.wants.PostAPICall {
		return
	}
	e := x.event(callback.PostAPICall, n, answererOf(hop))
	e.Status, e.Duration, e.Error = a.status, callback.Seconds(a.took), a.reason
	x.snapshot.callbacks.Event(e, x.reporter.wish)
}

// streamed tells the hooks of what goes to the client of a stream. A stored answer
// is of no attempt: its chunks are those that are sent now, by whom it came from.
func (s *requestStream) streamed(out []byte) {
	x := s.exchange
	by, n := x.answerer(s.attempt)
	x.reporter.events.Feed(out)
	for event, ok := x.reporter.events.Next(); ok; event, ok = x.reporter.events.Next() {
		if len(event.Data) == 0 || string(event.Data) == "[DONE]" {
			continue
		}
		e := x.event(callback.StreamEvent, n, by)
		e.Chunk = slices.Clone(event.Data)
		x.snapshot.callbacks.Event(e, x.reporter.wish)
	}
}

func (x *exchange) event(hook callback.Hook, n int, by cache.Served) *callback.Event {
	return &callback.Event{
		Hook: hook, Time: callback.At(time.Now()), CallID: x.id, Attempt: n, Model: by.Provider + "/" + by.Model,
		ModelGroup: by.Group, ModelID: by.Deployment, Provider: by.Provider,
	}
}

// answerer says whose answer the client gets, and which attempt's: n, or 0 for a
// stored one.
func (x *exchange) answerer(n int) (cache.Served, int) {
	switch o := x.outcome.load(); {
	case o.entry != nil:
		return o.entry.Served, 0
	case o.served != nil:
		return answererOf(o.served), n
	}
	return cache.Served{}, n
}

// answererOf says who a hop is.
func answererOf(hop *routing.Hop) cache.Served {
	d := hop.Deployment
	return cache.Served{Provider: d.Provider, Deployment: d.ID, Group: hop.Group, Model: hop.Model, Fallback: hop.Fallback}
}
