package cli

import "runtime/debug"

// ballastSize is the size of the ballast in bytes.
const ballastSize = 64 << 20

// newBallast returns memory that is never touched, so that it takes address space
// and no memory; nil when GOMEMLIMIT is below four times its size. It must stay
// reachable.
//
// The service's live heap is a few megabytes. Go's collector runs when the heap has
// doubled, so it would run every few hundred requests and take a fifth of the
// processor time. The ballast counts as live heap: the collector runs after another
// 64 MB. Why not debug.SetGCPercent with a memory limit: measured in docs/decisions
// (015), GOGC=off fills memory up to the limit and collects without pause when
// large bodies pass it, and a high GOGC multiplies what large bodies and a running
// collection keep alive, so that memory grows to the limit too.
func newBallast() []byte {
	if debug.SetMemoryLimit(-1) < 4*ballastSize {
		return nil
	}
	return make([]byte, ballastSize)
}
