package asynctest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePort is a port of 127.0.0.1 for a server that is started a moment later. It is
// none of those that the system gives to connections, which could take it
// meanwhile; nor one that this function has given to a test, of any process, that
// still runs.
func FreePort(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		port := strconv.Itoa(12_000 + rand.IntN(20_000))
		claim, err := net.Listen("unix", "@isthmus-test-port-"+port) // a name, not a file: it goes with its owner
		if err != nil {
			continue
		}
		tb.Cleanup(func() { _ = claim.Close() })
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatal("no port is free")
	return ""
}
