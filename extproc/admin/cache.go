package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Bounds of what an operator asks of the cache.
const (
	pingTime  = 2 * time.Second
	flushTime = time.Minute // all keys of a Redis are looked at
)

// cache serves one of LiteLLM's paths for the response cache, for the operator, in
// at most limit.
func (h *Handler) cache(limit time.Duration, do func(context.Context, *cache.Cache) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g := h.runtime.Current()
		if e := admit(g, r); e != nil {
			writeError(w, e)
			return
		}
		c := g.Cache()
		if c == nil {
			writeError(w, &upstream.Error{
				Status: http.StatusNotFound, Type: "invalid_request_error", Code: "no_cache", Message: "no cache is configured: set cache: true",
			})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		body, err := do(ctx, c)
		if err != nil {
			writeError(w, &upstream.Error{
				Status: http.StatusServiceUnavailable, Type: "server_error", Code: "cache_unavailable", Message: err.Error(),
			})
			return
		}
		writeJSON(w, http.StatusOK, body)
	}
}

func ping(ctx context.Context, c *cache.Cache) ([]byte, error) {
	return []byte(`{"status":"healthy"}`), c.Ping(ctx)
}

func flush(ctx context.Context, c *cache.Cache) ([]byte, error) {
	n, err := c.Flush(ctx)
	return []byte(`{"status":"success","deleted":` + strconv.FormatInt(n, 10) + `}`), err
}
