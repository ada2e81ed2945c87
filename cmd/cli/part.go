package cli

import (
	"context"
	"sync/atomic"
)

// part is something that a configuration needs and that the next one may take
// over: a connection to Redis, the cache, the callbacks. Who lets go of it last
// closes it.
type part struct {
	users atomic.Int32
	end   func(context.Context)
}

func newPart(end func(context.Context)) *part { return &part{end: end} }

// release is called once by each user.
func (p *part) release(ctx context.Context) {
	if p.users.Add(-1) == 0 {
		p.end(ctx)
	}
}
