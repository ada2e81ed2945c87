package admin

import (
	"net/http"
	"sync/atomic"

	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Handler serves the admin port: probes and metrics for every caller,
// under any name; the state of the deployments for who has the master key (see
// extproc.Snapshot.AdmitOperator). A web page of another origin changes nothing. It
// is safe for concurrent use.
type Handler struct {
	runtime *extproc.Runtime
	figures atomic.Pointer[Figures]
	serve   http.Handler
}

// NewHandler returns the handler of the admin port over what runtime has in force.
// metrics serves GET /metrics.
func NewHandler(runtime *extproc.Runtime, metrics http.Handler) *Handler {
	h := &Handler{runtime: runtime}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/liveliness", alive)
	mux.HandleFunc("GET /health/liveness", alive)
	mux.HandleFunc("GET /health/readiness", h.readiness)
	mux.Handle("GET /metrics", metrics)
	page := h.statusPage()
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /status", page)
	mux.Handle("GET /status/", page)
	mux.HandleFunc("GET /models", h.guarded((*extproc.Snapshot).ModelList))
	mux.HandleFunc("GET /v1/models", h.guarded((*extproc.Snapshot).ModelList))
	mux.HandleFunc("GET /health", h.guarded(h.health))
	mux.HandleFunc("GET /model/info", h.guarded(modelInfo))
	mux.HandleFunc("GET /v1/model/info", h.guarded(modelInfo))
	mux.HandleFunc("GET /cache/ping", h.cache(pingTime, ping))
	mux.HandleFunc("POST /cache/flushall", h.cache(flushTime, flush))
	h.serve = sameOriginOnly(mux)
	return h
}

// ServeHTTP serves a request to the admin port.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve.ServeHTTP(w, r) }

// Figures are what the status page shows and only others know. Each may be left
// out.
type Figures struct {
	Version  string // of isthmus
	Envoy    string // version of the Envoy in front; "": unknown
	Strategy string // of routing
}

// Show puts figures on the status page, in place of those before.
func (h *Handler) Show(f Figures) { h.figures.Store(&f) }

func alive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, []byte(`"I'm alive!"`))
}

func (h *Handler) readiness(w http.ResponseWriter, _ *http.Request) {
	state := h.runtime.State()
	switch {
	case state.Draining:
		writeJSON(w, http.StatusServiceUnavailable, []byte(`{"status":"draining"}`))
	case !state.EnvoyDown.IsZero():
		writeJSON(w, http.StatusServiceUnavailable, []byte(`{"status":"restarting Envoy"}`))
	default:
		writeJSON(w, http.StatusOK, []byte(`{"status":"healthy"}`))
	}
}

// guarded serves what render makes of the configuration in force, for the operator.
func (h *Handler) guarded(render func(*extproc.Snapshot) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g := h.runtime.Current()
		if e := admit(g, r); e != nil {
			writeError(w, e)
			return
		}
		writeJSON(w, http.StatusOK, render(g))
	}
}

// admit returns nil for a request that is the operator's.
func admit(g *extproc.Snapshot, r *http.Request) *upstream.Error {
	var header upstream.Header // the fields that may carry a key
	for _, name := range []string{"authorization", "x-litellm-api-key", "api-key", "x-api-key"} {
		if v := r.Header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	return g.AdmitOperator(r.Host, header)
}

// sameOriginOnly refuses what a page of another origin would change.
func sameOriginOnly(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, &upstream.Error{
			Status: http.StatusForbidden, Type: "permission_error", Code: "cross_origin_request",
			Message: "a web page of another origin may change nothing here",
		})
	}))
	return protection.Handler(next)
}

func writeError(w http.ResponseWriter, e *upstream.Error) { writeJSON(w, e.Status, e.JSON()) }

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
