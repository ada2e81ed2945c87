package extproc

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Times of what an operator asks of the cache.
const (
	pingTime  = 2 * time.Second
	flushTime = time.Minute // all keys of a Redis are looked at
)

// adminCache adds LiteLLM's paths for the response cache, for who has the master
// key.
func adminCache(mux *http.ServeMux, runtime *Runtime) {
	guarded := func(pattern string, limit time.Duration, do func(context.Context, *Snapshot) ([]byte, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			g := runtime.Current()
			e := g.admits(r)
			if e == nil && g.cache == nil {
				e = &upstream.Error{Status: http.StatusNotFound, Type: "invalid_request_error", Code: "no_cache", Message: "no cache is configured: set cache: true"}
			}
			if e != nil {
				writeJSON(w, e.Status, e.JSON())
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			body, err := do(ctx, g)
			if err != nil {
				e = &upstream.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "cache_unavailable", Message: err.Error()}
				writeJSON(w, e.Status, e.JSON())
				return
			}
			writeJSON(w, http.StatusOK, body)
		})
	}
	guarded("GET /cache/ping", pingTime, func(ctx context.Context, g *Snapshot) ([]byte, error) {
		return []byte(`{"status":"healthy"}`), g.cache.Ping(ctx)
	})
	guarded("POST /cache/flushall", flushTime, func(ctx context.Context, g *Snapshot) ([]byte, error) {
		n, err := g.cache.Flush(ctx)
		return []byte(`{"status":"success","deleted":` + strconv.FormatInt(n, 10) + `}`), err
	})
}
