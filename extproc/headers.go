package extproc

import (
	"strconv"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Which headers reach a provider and which a client.

// keepRequestHeader is the allow-list of client headers that stay on a request
// to any provider; some take others too (upstream.Call.HeaderWith). Envoy's own
// (x-request-id, x-forwarded-proto) are needed until the upstream header_mutation
// filter takes them away; tracing headers join the provider's span to ours and say
// nothing else.
func keepRequestHeader(name string) bool {
	if strings.HasPrefix(name, ":") {
		return true
	}
	switch name {
	case "x-request-id", "x-forwarded-proto", "traceparent", "tracestate":
		return true
	}
	return false
}

// keepResponseHeader is the allow-list of the headers of a provider's good answer
// that reach the client: what its SDK reads, and nothing that names an account or a
// host, makes a browser save the answer, or speaks of trying again.
func keepResponseHeader(name string) bool {
	switch name {
	case ":status", "content-type", "content-encoding", "content-length", "cache-control", "date",
		"x-request-id", "request-id", "openai-processing-ms", "openai-version":
		return true
	}
	return isRateLimit(name)
}

func isRateLimit(name string) bool { return strings.HasPrefix(name, "x-ratelimit-") }

// clientHeaders keeps the provider headers that the client may see and adds ours.
func (s *requestStream) clientHeaders(header upstream.Header, n int, hop routing.Hop) *wire.HeaderMutation {
	edit := &wire.HeaderMutation{}
	ours := s.exchange.reservation.rateLimits()
	for _, f := range header {
		if !keepResponseHeader(f.Name) || len(ours) > 0 && isRateLimit(f.Name) || hop.Translator.Reveals(f.Value) {
			edit.Remove(f.Name)
		}
	}
	if len(ours) == 0 {
		ours = upstream.RateLimits(header)
	}
	edit.SetAll(ours)
	edit.SetAll(s.exchange.publicHeaders(n, &hop))
	return edit
}

// publicHeaders are the headers that tell a client how it was served; never a
// URL or a key. hop is nil for errors.
func (x *exchange) publicHeaders(n int, hop *routing.Hop) upstream.Header {
	made, entry := x.attempts.count(), x.outcome.load().entry
	attempts := max(n, made)
	header := append(make(upstream.Header, 0, 16),
		upstream.Field{Name: names.HeaderRequestID, Value: x.id},
		upstream.Field{Name: names.HeaderCallID, Value: x.id},
		upstream.Field{Name: "x-isthmus-attempts", Value: strconv.Itoa(attempts)},
		upstream.Field{Name: "x-litellm-response-duration-ms", Value: strconv.FormatInt(time.Since(x.started).Milliseconds(), 10)},
	)
	if c := &x.caching; c.status != "" && entry == nil {
		header = append(header, cache.Headers(c.status, c.key, nil, time.Time{})...)
	}
	if e := entry; e != nil {
		header = append(header,
			upstream.Field{Name: "x-isthmus-deployment", Value: e.Served.Deployment},
			upstream.Field{Name: "x-litellm-model-id", Value: e.Served.Deployment},
			upstream.Field{Name: "x-isthmus-model-group", Value: e.Served.Group},
			upstream.Field{Name: "x-litellm-model-group", Value: e.Served.Group},
		)
	}
	var fallbacks int
	if hop != nil {
		fallbacks = hop.Fallback
		header = append(header,
			upstream.Field{Name: "x-isthmus-deployment", Value: hop.Deployment.ID},
			upstream.Field{Name: "x-litellm-model-id", Value: hop.Deployment.ID},
			upstream.Field{Name: "x-isthmus-model-group", Value: hop.Group},
			upstream.Field{Name: "x-litellm-model-group", Value: hop.Group},
		)
	} else {
		fallbacks = x.attempts.fallbacks()
	}
	if x.queuedFor != "" {
		header = append(header, upstream.Field{Name: "x-isthmus-queued-for", Value: x.queuedFor})
	}
	if limits := x.reservation.limits(); limits != "" {
		header = append(header, upstream.Field{Name: "x-isthmus-limited-by", Value: limits})
	}
	if x.snapshot.verbose && made > 0 {
		attempts := x.attempts.records(x.started, time.Now())
		header = append(header, upstream.Field{Name: "x-isthmus-attempt-details", Value: details(attempts)})
	}
	return append(header,
		upstream.Field{Name: "x-litellm-attempted-retries", Value: strconv.Itoa(max(attempts-1-fallbacks, 0))},
		upstream.Field{Name: "x-isthmus-fallbacks", Value: strconv.Itoa(fallbacks)},
		upstream.Field{Name: "x-litellm-attempted-fallbacks", Value: strconv.Itoa(fallbacks)},
	)
}

// errorHeaders are those of an error that is the whole answer.
func errorHeaders(e *upstream.Error) upstream.Header {
	header := upstream.Header{{Name: "content-type", Value: "application/json"}}
	for _, f := range e.Header {
		header.Set(f.Name, f.Value)
	}
	return header
}
