package extproc

import (
	"net/http"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/status"
)

// statusRequest is the record as the status page has it.
func (rec *record) statusRequest() status.Request {
	r := status.Request{
		ID: rec.id, Endpoint: string(rec.endpoint), Model: rec.model, Status: rec.status, Stream: rec.stream, Aborted: rec.aborted(),
		Cache: string(rec.cache), Prompt: rec.result.Usage.Prompt, Completion: rec.result.Usage.Completion, Counted: rec.result.HasUsage,
		Deployment: rec.answeredBy.Deployment, Group: rec.answeredBy.Group, Error: rec.errorCode(),
		FirstByte: status.Milliseconds(rec.firstByte), Took: status.Milliseconds(rec.took),
	}
	if rec.entry != nil {
		r.Cache = string(cache.Hit)
	}
	if len(rec.attempts) > 0 {
		r.Attempts = make([]status.Attempt, len(rec.attempts))
	}
	for i := range rec.attempts {
		a := &rec.attempts[i]
		r.Attempts[i] = status.Attempt{
			Deployment: a.hop.Deployment.ID, Group: a.hop.Group, Status: a.status, Failed: a.reason != "" || a.status >= http.StatusBadRequest,
			Reason: a.reason, After: status.Milliseconds(a.after), FirstByte: status.Milliseconds(a.firstByte), Took: status.Milliseconds(a.took),
		}
	}
	return r
}
