package extproc

import (
	"net/http"

	"github.com/isthmus-proxy/isthmus/extproc/status"
)

// shown is the record as the status page has it.
func (rec *record) shown() status.Request {
	o := &rec.outcome
	r := status.Request{
		ID: rec.id, Endpoint: string(rec.endpoint), Model: rec.model, Status: o.status, Stream: rec.stream, Aborted: o.ended != endedWhole,
		Cache: string(rec.cache), Prompt: o.result.Usage.Prompt, Completion: o.result.Usage.Completion, Counted: o.result.HasUsage,
		FirstByte: status.Milliseconds(o.firstByte), Took: status.Milliseconds(rec.took),
	}
	if o.served != nil {
		r.Deployment, r.Group = o.served.Deployment.ID, o.served.Group
	}
	if o.entry != nil {
		r.Cache, r.Deployment, r.Group = "hit", o.entry.Served.Deployment, o.entry.Served.Group
	}
	if o.failure != nil {
		if r.Error = o.failure.Code; r.Error == "" {
			r.Error = o.failure.Type
		}
	}
	if len(rec.attempts) > 0 {
		r.Attempts = make([]status.Attempt, len(rec.attempts))
	}
	for i := range rec.attempts {
		r.Attempts[i] = rec.attempts[i].shown()
	}
	return r
}

func (a *attemptRecord) shown() status.Attempt {
	return status.Attempt{
		Deployment: a.deployment, Group: a.group, Status: a.status, Failed: a.reason != "" || a.status >= http.StatusBadRequest,
		Reason: a.reason, After: status.Milliseconds(a.after), FirstByte: status.Milliseconds(a.firstByte), Took: status.Milliseconds(a.took),
	}
}
