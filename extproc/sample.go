package extproc

import (
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate"
)

// metricsRequest is the record as the metrics count it.
func (rec *record) metricsRequest() *metrics.Request {
	m := &metrics.Request{
		Endpoint: string(rec.endpoint), Operation: rec.operation, Asked: rec.asked, Cache: string(rec.cache),
		Status: rec.status, Aborted: rec.aborted(), Failed: rec.failed(), Stream: rec.stream,
		Duration: rec.took, FirstToken: rec.timeToFirstToken(), Own: rec.overhead, Cost: rec.cost, Fallbacks: rec.fallbacks,
	}
	if len(rec.attempts) == 0 {
		m.Code = rec.errorCode()
	}
	if rec.served != nil {
		m.Served = configured(rec.served.Deployment)
		u := &rec.result.Usage
		m.Tokens = metrics.Tokens{
			Prompt: u.Prompt, Completion: u.Completion, Cached: u.Cached, CacheWrite: u.CacheWrite, Reasoning: u.Reasoning,
			Estimated: rec.result.Estimated,
		}
	}
	for i := range rec.attempts {
		a := &rec.attempts[i]
		each := metrics.Attempt{Served: configured(a.hop.Deployment), Outcome: a.end, Status: a.code, Took: a.took}
		if i == len(rec.attempts)-1 && m.FirstToken > 0 {
			each.FirstToken = m.FirstToken - a.began.Sub(rec.started)
		}
		m.Attempts = append(m.Attempts, each)
	}
	return m
}

// configured names a deployment by the configuration's words alone: a wildcard's
// group and model are as the configuration spells them, not as the client did.
func configured(d *routing.Deployment) metrics.Served {
	return metrics.Served{Group: d.Group, Deployment: d.ID, Provider: d.Provider, System: translate.System(d.Provider), Model: d.Model}
}
