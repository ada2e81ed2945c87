package status

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
)

// Options are what a handler needs.
type Options struct {
	Board *Board
	// Refuse answers a request that may not see the data and reports that it did.
	// It is asked again while a stream runs, with w nil.
	Refuse func(w http.ResponseWriter, r *http.Request) bool
	// Draining reports that the gateway ends: streams do, too.
	Draining func() bool

	Streams      int           // that may run at once; 0 = 16
	WriteTimeout time.Duration // of one frame; 0 = 10 s
}

// Streams end by themselves when their readers have gone, but not at once.
const (
	defaultStreams      = 16
	defaultWriteTimeout = 10 * time.Second
	pulse               = 5 * time.Second // between comments that show that the stream lives
)

// handler serves the page and its data.
type handler struct {
	Options
	page    page
	streams atomic.Int64
}

// NewHandler returns the handler of GET / and of GET /status and what is below.
func NewHandler(o Options) http.Handler {
	if o.Streams <= 0 {
		o.Streams = defaultStreams
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultWriteTimeout
	}
	h := &handler{Options: o, page: newPage()}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", h.page)
	mux.Handle("GET /status", h.page)
	mux.HandleFunc("GET /status/snapshot", h.guarded(h.snapshot))
	mux.HandleFunc("GET /status/events", h.guarded(h.events))
	return mux
}

// guarded keeps out who may not see the data.
func (h *handler) guarded(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !h.Refuse(w, r) {
			serve(w, r)
		}
	}
}

func (h *handler) snapshot(w http.ResponseWriter, _ *http.Request) {
	text, _, err := h.Board.Frame(0)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "the state cannot be written")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// events streams frames until the reader leaves, is too slow, has no right to
// them any more, or the gateway drains: then the last event is "end".
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	if h.streams.Add(1) > int64(h.Streams) {
		h.streams.Add(-1)
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, "too many status pages are open")
		return
	}
	defer h.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.Header().Set("Connection", "close") // it is left with a deadline
	out := stream{w: w, control: http.NewResponseController(w), timeout: h.WriteTimeout}
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	var seen int64
	for quiet := time.Duration(0); ; quiet += Interval {
		draining := h.Draining()
		text, version, err := h.Board.Frame(seen)
		switch {
		case err != nil:
			return
		case text != nil:
			seen, quiet = version, 0
			err = out.write("event: state\ndata: ", string(text), "\n\n")
		case quiet >= pulse:
			quiet = 0
			err = out.write(": \n\n")
		}
		if err == nil && draining {
			err = out.write("event: end\ndata: {}\n\n")
		}
		if err != nil || draining {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
		if h.Refuse(nil, r) {
			return
		}
	}
}

// stream writes events, each within a time.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

func (s *stream) write(texts ...string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	for _, text := range texts {
		if _, err := s.w.Write([]byte(text)); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

func refuse(w http.ResponseWriter, code int, message string) {
	text, _ := json.Marshal(map[string]map[string]string{"error": {"message": message}})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text)
}
