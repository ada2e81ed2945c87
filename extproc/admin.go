package extproc

import (
	"net/http"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Admin serves the admin port: probes and metrics for everybody who reaches it,
// under any name; the state of the deployments for who has the master key (see
// admits). A web page of another origin changes nothing.
func Admin(runtime *Runtime, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	alive := func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, []byte(`"I'm alive!"`)) }
	mux.HandleFunc("GET /health/liveliness", alive)
	mux.HandleFunc("GET /health/liveness", alive)
	mux.HandleFunc("GET /health/readiness", func(w http.ResponseWriter, _ *http.Request) {
		if runtime.drain.Load() {
			writeJSON(w, http.StatusServiceUnavailable, []byte(`{"status":"draining"}`))
			return
		}
		if runtime.front.away() {
			writeJSON(w, http.StatusServiceUnavailable, []byte(`{"status":"restarting Envoy"}`))
			return
		}
		writeJSON(w, http.StatusOK, []byte(`{"status":"healthy"}`))
	})
	mux.Handle("GET /metrics", metrics)
	guarded := func(pattern string, handle func(*Snapshot) []byte) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			g := runtime.Current()
			if e := g.admits(r); e != nil {
				writeJSON(w, e.Status, e.JSON())
				return
			}
			writeJSON(w, http.StatusOK, handle(g))
		})
	}
	page := runtime.statusPage()
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /status", page)
	mux.Handle("GET /status/", page)
	guarded("GET /models", (*Snapshot).modelList)
	guarded("GET /v1/models", (*Snapshot).modelList)
	guarded("GET /health", (*Snapshot).deploymentStates)
	guarded("GET /model/info", (*Snapshot).modelInfo)
	guarded("GET /v1/model/info", (*Snapshot).modelInfo)
	adminCache(mux, runtime)
	return sameSiteOnly(mux)
}

// plainHeader takes the fields that may carry a key.
func plainHeader(r *http.Request) upstream.Header {
	var header upstream.Header
	for _, name := range []string{"authorization", "x-litellm-api-key", "api-key", "x-api-key"} {
		if v := r.Header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	return header
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
