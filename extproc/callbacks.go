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

// capture keeps what the client is sent of an answer, for the callbacks' records. It
// belongs to stream 1. The zero value keeps nothing.
type capture struct {
	responses *callback.ResponsesReader // of a Responses API stream
	text      *cache.Recorder           // of other answers
	shared    bool                      // text is the cache's recorder, which feeds it
	answer    jsontext.Value            // what was kept, after end
}

// maxCaptured bounds the text of an answer that is kept for callbacks, in bytes.
const maxCaptured = 1 << 20

// begin begins to keep the answer to a request. shared is the recorder of the cache
// where that keeps the answer too; else nil.
func (c *capture) begin(req *chat.Request, stream bool, shared *cache.Recorder) {
	switch {
	case req.Endpoint == chat.Responses && stream:
		c.responses = &callback.ResponsesReader{}
	case shared != nil:
		c.text, c.shared = shared, true
	default:
		c.text, c.shared = cache.NewRecorder(req, stream, maxCaptured), false
	}
}

// feed keeps the next bytes that go to the client, cut anywhere.
func (c *capture) feed(out []byte) {
	if c.responses != nil {
		c.responses.Feed(out)
	}
	if c.text != nil && !c.shared {
		c.text.Feed(out)
	}
}

// end takes the answer as far as it was fed. It comes before the cache finishes its
// recorder. Later calls do nothing.
func (c *capture) end() {
	switch {
	case c.answer != nil:
	case c.responses != nil:
		c.answer = c.responses.Answer()
	case c.text != nil:
		c.answer = c.text.Answer()
	}
	c.text, c.responses = nil, nil
}

// hooks tells the callbacks of a request before it ends: of its attempts, and of the
// events of its stream. What the configuration wants none of costs a comparison.
type hooks struct {
	id       string // of the exchange
	snapshot *Snapshot
	wish     callback.Wish // how much of its text the request wants shown
	events   sse.Reader    // of the stream; belongs to stream 1
}

// begin reads what the request says to callbacks.
func (h *hooks) begin(header upstream.Header, req *chat.Request) {
	if w := &h.snapshot.wants; w.PreAPICall || w.PostAPICall || w.StreamEvent {
		h.wish = callback.ReadWish(header, callback.ReadInput(req).Wish)
	}
}

// attemptBegins tells that attempt n of the request begins.
func (h *hooks) attemptBegins(n int, hop *routing.Hop, req *chat.Request) {
	if !h.snapshot.wants.PreAPICall {
		return
	}
	e := h.event(callback.PreAPICall, n, servedBy(hop))
	e.Messages = callback.ReadInput(req).Messages
	h.snapshot.callbacks.Event(e, h.wish)
}

// attemptEnded tells how attempt n ended.
func (h *hooks) attemptEnded(n int, hop *routing.Hop, a *attempt) {
	if !h.snapshot.wants.PostAPICall {
		return
	}
	e := h.event(callback.PostAPICall, n, servedBy(hop))
	e.Status, e.Duration, e.Error = a.status, callback.Seconds(a.took), a.reason
	h.snapshot.callbacks.Event(e, h.wish)
}

// streamed tells of the next bytes, cut anywhere, of a stream that goes to the client.
// n is the attempt that they are of; 0: they were there without one.
func (h *hooks) streamed(n int, by cache.Served, out []byte) {
	h.events.Feed(out)
	for event, ok := h.events.Next(); ok; event, ok = h.events.Next() {
		if len(event.Data) == 0 || string(event.Data) == "[DONE]" {
			continue
		}
		e := h.event(callback.StreamEvent, n, by)
		e.Chunk = slices.Clone(event.Data)
		h.snapshot.callbacks.Event(e, h.wish)
	}
}

func (h *hooks) event(hook callback.Hook, n int, by cache.Served) *callback.Event {
	return &callback.Event{
		Hook: hook, Time: callback.At(time.Now()), CallID: h.id, Attempt: n, Model: by.Provider + "/" + by.Model,
		ModelGroup: by.Group, ModelID: by.Deployment, Provider: by.Provider,
	}
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
	rec.fillTimes(r)
	rec.fillDeployment(r)
	rec.fillAnswer(r)
	rec.fillEnd(r)
	rec.fillClient(r)
	return r
}

// fillTimes fills in when things happened.
func (rec *record) fillTimes(r *callback.Record) {
	end := rec.started.Add(rec.took)
	r.StartTime, r.EndTime, r.CompletionStartTime = callback.At(rec.started), callback.At(end), callback.At(end)
	r.ResponseTime = callback.Seconds(rec.took)
	first := rec.timeToFirstToken()
	if rec.entry != nil {
		first = rec.firstByte // what is stored goes out at once
	}
	if rec.stream && first > 0 {
		r.CompletionStartTime, r.ResponseTime = callback.At(rec.started.Add(first)), callback.Seconds(first)
	}
}

// fillDeployment fills in who answered, or else who failed last.
func (rec *record) fillDeployment(r *callback.Record) {
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

// fillAnswer fills in what was answered and what it cost.
func (rec *record) fillAnswer(r *callback.Record) {
	text := callback.ReadAnswer(r.Response)
	r.ID = cmp.Or(rec.result.ID, text.ID, r.CallID)
	r.HiddenParams.ResponseModel = cmp.Or(rec.result.Model, text.Model)
	r.HiddenParams.FinishReason = cmp.Or(rec.result.FinishReason, text.FinishReason)
	r.HiddenParams.OverheadMs = float64(rec.overhead.Microseconds()) / 1000
	if rec.result.HasUsage {
		r.SetUsage(rec.result.Usage, rec.prices)
	}
	r.TokensEstimated = rec.result.Estimated
}

// fillEnd fills in how the request ended. That the client left is no failure, unless
// it had got nothing yet.
func (rec *record) fillEnd(r *callback.Record) {
	r.Status, r.HTTPStatus = callback.Success, rec.status
	if rec.aborted() {
		r.Aborted = callback.Optional(rec.ended)
	}
	failure := rec.reportedError()
	if failure != nil {
		if rec.failure == nil && rec.served == nil {
			r.HTTPStatus = failure.Status // the client left: it was sent none
		}
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

// cutFailure is the error of an answer that broke off: what Envoy told the client in its
// place, where it could, else one for log and records alone, since the client had begun to get
// its answer.
func (rec *record) cutFailure() *upstream.Error {
	switch {
	case rec.status < http.StatusBadRequest:
		return streamFailure(rec.ended)
	case rec.ended == endedTimeout:
		return localFailure(http.StatusGatewayTimeout, "")
	}
	e := *streamFailure(rec.ended)
	e.Status, e.Code = rec.status, chat.Incomplete().Code
	return &e
}

// streamFailure is the error of an answer that broke off after the client had begun to get it.
func streamFailure(by ending) *upstream.Error {
	if by == endedTimeout {
		return &upstream.Error{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "stream_timeout",
			Message: "the provider stopped in the middle of its answer"}
	}
	return &upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "stream_cut", Message: "the provider's answer broke off"}
}

// fillClient fills in who asked. Headers are no part of it: they hold keys.
func (rec *record) fillClient(r *callback.Record) {
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
