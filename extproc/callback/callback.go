package callback

import (
	"context"
	"errors"
)

// Deliverer sends one batch somewhere. It returns nil when all of it arrived, an
// error when the batch should come again, and a [Permanent] one when it never
// should. It must end when ctx does, must not change the items and must not
// keep the slice. It is called by one goroutine at a time.
type Deliverer[T any] interface {
	Deliver(ctx context.Context, batch []T) error
}

// Callback is a sink of records.
type Callback = Deliverer[*Record]

// Permanent marks an error that another try would meet again.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether an error is marked by [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

type permanentError struct{ err error }

func (p *permanentError) Error() string { return p.err.Error() }
func (p *permanentError) Unwrap() error { return p.err }

// splittable reports whether half of a refused batch might be taken: it is too
// large, or one of its records is the one that is refused.
func splittable(err error) bool {
	if errors.Is(err, ErrEncode) {
		return true
	}
	var s *StatusError
	return errors.As(err, &s) && (s.Status == 400 || s.Status == 413 || s.Status == 422)
}
