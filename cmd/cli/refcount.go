package cli

import (
	"context"
	"sync/atomic"
)

// refCounted is a resource that several configurations may use, one after the
// other: a connection to Redis, the cache, the callbacks. It is closed when its
// last user releases it.
type refCounted struct {
	users  atomic.Int32
	closer func(context.Context) // writes what is left, as long as the context allows
}

// newRefCounted has no user yet: see resources.retain.
func newRefCounted(closer func(context.Context)) *refCounted {
	return &refCounted{closer: closer}
}

// release must be called exactly once by each user.
func (r *refCounted) release(ctx context.Context) {
	if r.users.Add(-1) == 0 {
		r.closer(ctx)
	}
}
