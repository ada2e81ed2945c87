package routing

import (
	"net/http"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Verdict says what may follow a failed attempt.
type Verdict int

const (
	// Stop: the failure is the client's own; it gets the answer.
	Stop Verdict = iota
	// RetryAny: another try may help, on the same deployment too.
	RetryAny
	// RetryOther: this deployment will say the same again; another may not.
	RetryOther
	// ContextWindow: only a model with a larger window can help.
	ContextWindow
	// ContentPolicy: only a model with another policy can help.
	ContentPolicy
)

// Judge says what may follow an answer with this error. A nil error means that
// no answer came: refused, reset or timed out.
func Judge(e *upstream.Error) Verdict {
	if e == nil {
		return RetryAny
	}
	switch {
	case e.Code == upstream.CodeContextLength && e.Status < 500:
		return ContextWindow
	case e.Code == upstream.CodeContentFilter && e.Status < 500:
		return ContentPolicy
	case e.Status >= 500, e.Status == http.StatusRequestTimeout, e.Status == http.StatusConflict, e.Status == http.StatusTooManyRequests:
		return RetryAny
	case e.Status == http.StatusBadRequest, e.Status == http.StatusRequestEntityTooLarge, e.Status == http.StatusUnprocessableEntity:
		return Stop
	case e.Status >= 400:
		return RetryOther
	}
	return RetryAny // a redirect or the like: the deployment is not what it should be
}
