package cli

import "runtime/debug"

// ballastSize is how much the collector is made to believe is in use, in bytes.
const ballastSize = 64 << 20

// newBallast returns memory that is never touched: it takes address space, not
// memory. The service's own heap is a few megabytes, at which Go would collect
// every few hundred requests, for a fifth of the processor time. With the ballast
// it collects each time another 64 MB were used; a heap that large bodies have
// made large is collected as ever. Somebody who set a small GOMEMLIMIT gets none.
func newBallast() []byte {
	if debug.SetMemoryLimit(-1) < 4*ballastSize {
		return nil
	}
	return make([]byte, ballastSize)
}
