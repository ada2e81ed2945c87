package extproc

import (
	"sync"
	"time"
)

// judgement is what the streams of the failure filter and of the opening filter have in
// common: an attempt is judged once, by a message or by a timer beside the messages,
// whichever is first.
type judgement struct {
	expired chan struct{} // closed when the timer has judged: the stream is to end

	mu       sync.Mutex  // held while a message is handled, and by the timer
	exchange *exchange   // nil: it is not known here
	timer    *time.Timer // nil: none
	judged   bool
}

func newJudgement() judgement { return judgement{expired: make(chan struct{})} }

// judgeLocked ends the wait, and reports whether this is the first call: then the caller
// judges.
func (j *judgement) judgeLocked() bool {
	if j.timer != nil {
		j.timer.Stop()
	}
	first := !j.judged
	j.judged = true
	return first
}

func (j *judgement) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.judgeLocked()
}

func (j *judgement) of() *exchange {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.exchange
}

func (j *judgement) ended() <-chan struct{} { return j.expired }
