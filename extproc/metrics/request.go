package metrics

import (
	"time"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Request is one ended request. Its texts are names from the configuration or
// of a fixed set.
type Request struct {
	Endpoint  string // as in its path: "chat/completions"; "" for an unknown one
	Operation string // the same in the words of the GenAI conventions
	Asked     string // the name asked for, as the configuration spells it; "" when no deployment does
	Served    Served // who answered; zero: none did

	Status  int           // sent to the client; 0: nothing was
	Aborted bool          // the client left, or the answer broke off
	Failed  bool          // the client got an error, inside a stream too
	Kind    upstream.Kind // of that error; KindUnknown: there is none
	Code    string        // of an error that the gateway itself is the author of, else ""
	Limit   string        // whose limit refused it: deployment, model, tenant, gateway or ""
	Cache   string        // hit, miss or bypass; "" when there is no cache

	Stream     bool
	Duration   time.Duration // from the request's headers to its end
	FirstToken time.Duration // of a stream; 0: none came
	Own        time.Duration // spent in the gateway's own work, waits excluded

	Tokens    Tokens
	Cost      float64 // USD; 0: no price is known
	Fallbacks []Fallback
	Attempts  []Attempt
}

// Served says who answered.
type Served struct {
	Group, Deployment, Provider string
	System                      string // the provider in the words of the GenAI conventions
	Model                       string // the provider's model, as configured
}

// Tokens are an answer's.
type Tokens struct {
	Prompt, Completion            int64
	Cached, CacheWrite, Reasoning int64 // parts of Prompt and Completion
	Estimated                     bool  // the provider did not report all of them: the rest was counted here
}

// Fallback is one step of a cascade: a group was given up for another.
type Fallback struct {
	To     string // the group, as the configuration spells it
	Status int    // of the last attempt before; 0: it had no answer
	Good   bool   // it answered the request
}

// requestKey is all that decides the labels of a request's instruments.
type requestKey struct {
	endpoint, operation, asked, code, limit, cache string
	served                                         Served
	status                                         int
	kind                                           upstream.Kind
	aborted, failed, stream, counted, estimated    bool
}

// group is the group that answered, else the name asked for.
func (k *requestKey) group() string {
	if k.served.Group != "" {
		return k.served.Group
	}
	return k.asked
}

// requestSeries are the instruments of one requestKey.
type requestSeries struct {
	own     ownSeries
	genAI   genAISeries
	litellm litellmSeries
}

// Request counts an ended request.
func (m *Metrics) Request(r *Request) {
	t := &r.Tokens
	s := m.ended.get(requestKey{
		endpoint: r.Endpoint, operation: r.Operation, asked: r.Asked, code: r.Code, limit: r.Limit, cache: r.Cache, served: r.Served,
		status: r.Status, kind: r.Kind, aborted: r.Aborted, failed: r.Failed, stream: r.Stream,
		counted: r.Served.Deployment != "" && t.Prompt+t.Completion > 0, estimated: t.Estimated,
	})
	s.own.observe(r)
	s.genAI.observe(r)
	s.litellm.observe(r)
	for i := range r.Attempts {
		m.attempt(r, &r.Attempts[i])
	}
	if len(r.Attempts) > 0 && r.Attempts[len(r.Attempts)-1].Outcome == Good {
		s.litellm.answered(r, &r.Attempts[len(r.Attempts)-1])
	}
	for _, f := range r.Fallbacks {
		m.fallback(r, f)
	}
}

// Queued counts a request that waited for a slot. asked is the name asked for,
// as the configuration spells it; outcome says how the wait ended: admitted,
// refused or left; limit whose slot it waited for: deployment, model, tenant, gateway,
// or "" when that is not known.
func (m *Metrics) Queued(asked, outcome, limit string, waited time.Duration) {
	m.own.queueWait.WithLabelValues(asked, outcome, limit).Observe(waited.Seconds())
}
