package status

import (
	"net/http"
	"time"
)

// A trail is what a deployment did in the last minutes, in slices.
const (
	trailSlice  = 5 * time.Second
	trailLength = 60
)

// trail holds slice n of time at n modulo its length.
type trail struct{ slices [trailLength]slice }

type slice struct {
	number       int64         // the slice of time it holds
	good, failed int64         // attempts
	wait         time.Duration // to the first byte, of the good ones together
}

func sliceOf(now time.Time) int64 { return now.UnixNano() / int64(trailSlice) }

// add counts one attempt.
func (t *trail) add(number int64, a *Attempt) {
	s := &t.slices[number%trailLength]
	if s.number != number {
		*s = slice{number: number}
	}
	switch {
	case a.Failed && isDeploymentFault(a.Status):
		s.failed++
		return
	case a.Failed, a.Status == 0:
		return // it says nothing: the client's mistake, or the client left
	}
	s.good++
	s.wait += time.Duration(a.FirstByte * float64(time.Millisecond))
}

// isDeploymentFault reports whether a failure with this status is the deployment's and not
// the request's.
func isDeploymentFault(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return false
	}
	return true
}

// Trail is a trail as the page reads it. Each list ends with the slice before
// the running one; what would be zeros at its begin is left out.
type Trail struct {
	Wait   []float64 `json:"wait,omitempty"` // mean milliseconds to the first byte; 0: no good attempt
	Good   []int64   `json:"good,omitempty"`
	Failed []int64   `json:"failed,omitempty"`
}

// read gives the trail up to the slice before number.
func (t *trail) read(number int64) Trail {
	var out Trail
	for n := number - trailLength + 1; n < number; n++ {
		s := &t.slices[(n%trailLength+trailLength)%trailLength]
		if s.number != n {
			s = &slice{}
		}
		if s.good+s.failed == 0 && len(out.Good) == 0 {
			continue
		}
		wait := 0.0
		if s.good > 0 {
			wait = Milliseconds(s.wait / time.Duration(s.good))
		}
		out.Wait, out.Good, out.Failed = append(out.Wait, wait), append(out.Good, s.good), append(out.Failed, s.failed)
	}
	return out
}
