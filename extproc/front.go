package extproc

import (
	"sync/atomic"
	"time"
)

// front is what is known of the Envoy that this process runs itself. One that
// somebody else runs is never told of, and counts as there.
type front struct {
	deaths atomic.Int64
	since  atomic.Int64 // since when it is away, in Unix nanoseconds; 0: it is there
}

// EnvoyDown notes that the Envoy that this process runs has ended by itself, or
// could not be started again. Until EnvoyUp the gateway is not ready.
func (rt *Runtime) EnvoyDown() {
	rt.front.deaths.Add(1)
	rt.front.since.CompareAndSwap(0, time.Now().UnixNano())
}

// EnvoyUp notes that an Envoy serves again.
func (rt *Runtime) EnvoyUp() { rt.front.since.Store(0) }

func (f *front) away() bool { return f.since.Load() != 0 }

// envoyReport is what GET /health says of the Envoy that this process runs.
type envoyReport struct {
	Restarts int64  `json:"restarts"`
	Down     string `json:"down_since,omitzero"` // RFC 3339; the log says why
}

// report is nil while nothing has happened.
func (f *front) report() *envoyReport {
	r := envoyReport{Restarts: f.deaths.Load()}
	if r.Restarts == 0 {
		return nil
	}
	if since := f.since.Load(); since != 0 {
		r.Down = moment(since)
	}
	return &r
}
