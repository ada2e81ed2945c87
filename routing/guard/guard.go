package guard

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"time"
)

// ErrPanicked is the error of a function that panicked.
var ErrPanicked = errors.New("internal error")

// Guard recovers panics. It is safe for concurrent use; nil recovers too, and
// logs to slog's default logger.
type Guard struct {
	log   *slog.Logger
	count func(where string)
}

// New returns a Guard that logs to log and calls count for each panic; count may
// be nil.
func New(log *slog.Logger, count func(where string)) *Guard { return &Guard{log: log, count: count} }

// Run calls f and reports whether it returned. where names the work, for log and
// metrics: a constant, never a client's text.
func (g *Guard) Run(where string, f func()) (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			g.logPanic(where, cause)
		}
	}()
	f()
	return true
}

// Call calls f and returns its error, or ErrPanicked.
func (g *Guard) Call(where string, f func() error) error {
	err := ErrPanicked
	g.Run(where, func() { err = f() })
	return err
}

// Go runs f in a goroutine of its own.
func (g *Guard) Go(where string, f func()) { go g.Run(where, f) }

// AfterFunc is time.AfterFunc.
func (g *Guard) AfterFunc(d time.Duration, where string, f func()) *time.Timer {
	return time.AfterFunc(d, func() { g.Run(where, f) })
}

func (g *Guard) logPanic(where string, cause any) {
	log := slog.Default()
	if g != nil {
		log = g.log
		if g.count != nil {
			g.count(where)
		}
	}
	log.Error("panic: a bug of isthmus", "where", where, "cause", Text(cause), "stack", string(debug.Stack()))
}

// Text says what a panic was about without printing values: they could be a
// message with a key in it.
func Text(cause any) string {
	if err, ok := cause.(error); ok {
		return err.Error() // runtime errors: index out of range, nil dereference
	}
	return "a value that is no error"
}
