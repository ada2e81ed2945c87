package limit

import (
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// gauge is the state of one window as clients are told of it.
type gauge struct {
	limit, used int64
	reset       time.Duration
	metric      metric
}

func (g *gauge) remaining() int64 { return max(g.limit-g.used, 0) }

// gauges are the tightest windows of a request: of requests, and of tokens. A
// limit of 0 is none.
type gauges struct{ requests, tokens gauge }

// note takes one window in.
func (g *gauges) note(c charge, u store.Usage) {
	into := &g.tokens
	if c.metric == requests {
		into = &g.requests
	}
	seen := gauge{c.limit, u.Used, u.Reset, c.metric}
	// Clients mean input and output together when they read "tokens".
	switch whole := seen.metric == tokens; {
	case into.limit == 0, c.metric != requests && whole && into.metric != tokens:
		*into = seen
	case c.metric != requests && !whole && into.metric == tokens:
	case seen.remaining() < into.remaining():
		*into = seen
	}
}

// appendTo appends OpenAI's x-ratelimit fields.
func (g *gauges) appendTo(h upstream.Header) upstream.Header {
	for _, each := range []struct {
		name string
		gauge
	}{{"requests", g.requests}, {"tokens", g.tokens}} {
		if each.limit == 0 {
			continue
		}
		h = append(h,
			upstream.Field{Name: "x-ratelimit-limit-" + each.name, Value: strconv.FormatInt(each.limit, 10)},
			upstream.Field{Name: "x-ratelimit-remaining-" + each.name, Value: strconv.FormatInt(each.remaining(), 10)},
			upstream.Field{Name: "x-ratelimit-reset-" + each.name, Value: each.reset.Round(time.Millisecond).String()})
	}
	return h
}
