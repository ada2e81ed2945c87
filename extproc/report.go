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

// sendRecord hands the record of a request that has ended to the callbacks.
func (g *Snapshot) sendRecord(rec *record) {
	if rec.probe || !g.wants.Records() || rec.request == nil {
		return
	}
	in := callback.ReadInput(rec.request)
	g.callbacks.Record(rec.callbackRecord(&in), callback.ReadWish(rec.header, in.Wish))
}

// callbackRecord is the record as callbacks get it; in is what its request says to
// them.
func (rec *record) callbackRecord(in *callback.Input) *callback.Record {
	r := &callback.Record{
		CallID: rec.id, CallType: callback.CallType(rec.endpoint), Stream: rec.stream,
		TraceID:   cmp.Or(in.TraceID, rec.header.Get("x-litellm-trace-id"), rec.id),
		SessionID: cmp.Or(in.SessionID, rec.header.Get("x-litellm-session-id")),
	}
	r.Messages, r.ModelParameters, r.Response = in.Messages, in.Parameters, rec.answer
	r.EndUser = callback.Optional(in.User)
	r.Metadata.Requester = in.Metadata
	rec.tellTimes(r)
	rec.tellDeployment(r)
	rec.tellAnswer(r)
	rec.tellEnd(r)
	rec.tellClient(r)
	return r
}

// tellTimes fills in when things happened.
func (rec *record) tellTimes(r *callback.Record) {
	end := rec.started.Add(rec.took)
	r.StartTime, r.EndTime, r.CompletionStartTime = callback.At(rec.started), callback.At(end), callback.At(end)
	r.ResponseTime = callback.Seconds(rec.took)
	if first := rec.firstByte; rec.stream && first > 0 {
		r.CompletionStartTime, r.ResponseTime = callback.At(rec.started.Add(first)), callback.Seconds(first)
	}
}

// tellDeployment fills in who answered, or else who failed last.
func (rec *record) tellDeployment(r *callback.Record) {
	r.Model, r.ModelGroup = rec.model, rec.model
	by, hop := rec.answeredBy, cmp.Or(rec.served, rec.lastHop())
	if hop != nil {
		by = servedBy(hop)
		r.APIBase = callback.Origin(hop.Deployment.BaseURL)
	}
	if hop != nil || rec.entry != nil {
		r.Provider, r.Model, r.ModelGroup, r.ModelID = callback.Optional(by.Provider), by.Provider+"/"+by.Model, by.Group, by.Deployment
		r.HiddenParams.ModelName = by.Model
	}
	if rec.entry != nil {
		r.CacheHit, r.CacheKey = true, callback.Optional(rec.cacheKey)
	}
	r.HiddenParams.ModelID, r.HiddenParams.APIBase, r.HiddenParams.CacheKey = r.ModelID, r.APIBase, r.CacheKey
}

// tellAnswer fills in what was answered and what it cost.
func (rec *record) tellAnswer(r *callback.Record) {
	text := callback.ReadAnswer(r.Response)
	r.ID = cmp.Or(rec.result.ID, text.ID, r.CallID)
	r.HiddenParams.ResponseModel = cmp.Or(rec.result.Model, text.Model)
	r.HiddenParams.FinishReason = cmp.Or(rec.result.FinishReason, text.FinishReason)
	r.HiddenParams.OverheadMs = float64(rec.own.Microseconds()) / 1000
	if rec.result.HasUsage {
		r.SetUsage(rec.result.Usage, rec.prices)
	}
	r.TokensEstimated = rec.result.Estimated
}

// tellEnd fills in how the request ended. That the client left is no failure, unless
// it had got nothing yet.
func (rec *record) tellEnd(r *callback.Record) {
	r.Status, r.HTTPStatus = callback.Success, rec.status
	if rec.aborted() {
		r.Aborted = callback.Optional(rec.ended)
	}
	failure := rec.failure
	switch {
	case failure != nil:
	case rec.aborted() && rec.served == nil:
		failure = clientGone()
		r.HTTPStatus = failure.Status
	case rec.broken():
		failure = brokenOff(rec.ended)
	}
	if failure != nil {
		r.Status = callback.Failure
		r.SetError(failure, string(r.Provider))
	}
	for i := range rec.attempts {
		a := &rec.attempts[i]
		r.Attempts = append(r.Attempts, callback.Attempt{
			ModelGroup: a.hop.Group, Deployment: a.hop.Deployment.ID, Provider: a.hop.Deployment.Provider,
			Status: a.status, Took: callback.Millis(a.took), Reason: a.reason,
		})
		if !slices.Contains(r.Metadata.AttemptedModels, a.hop.Group) {
			r.Metadata.AttemptedModels = append(r.Metadata.AttemptedModels, a.hop.Group)
		}
	}
}

// brokenOff is for the records only: the client had begun to get its answer.
func brokenOff(by ending) *upstream.Error {
	if by == endedTimeout {
		return &upstream.Error{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "stream_timeout",
			Message: "the provider stopped in the middle of its answer"}
	}
	return &upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "stream_cut", Message: "the provider's answer broke off"}
}

// tellClient fills in who asked. Headers are no part of it: they hold keys.
func (rec *record) tellClient(r *callback.Record) {
	ip, agent := callback.Optional(clientIP(rec.header)), callback.Optional(rec.header.Get("user-agent"))
	r.RequesterIPAddress, r.UserAgent = ip, agent
	r.Metadata.RequesterIP, r.Metadata.UserAgent, r.Metadata.RequestRoute = ip, agent, withoutQuery(rec.header.Get(":path"))
	r.Metadata.KeyAlias = callback.Optional(rec.namedCaller())
	r.RequestTags = rec.tags
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
	e := x.event(callback.PreAPICall, n, servedBy(hop))
	e.Messages = callback.ReadInput(x.request).Messages
	x.snapshot.callbacks.Event(e, x.reporter.wish)
}

// called tells the hooks that attempt n has ended.
func (x *exchange) called(n int, hop *routing.Hop, a *attempt) {
	if !x.snapshot.wants.PostAPICall {
		return
	}
	e := x.event(callback.PostAPICall, n, servedBy(hop))
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
		return servedBy(o.served), n
	}
	return cache.Served{}, n
}
