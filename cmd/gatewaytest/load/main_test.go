package load

import (
	"os"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// floorSocket is the variable of the environment that makes a test binary the floor
// of the benchmarks, at this socket.
const floorSocket = "ISTHMUS_TEST_FLOOR"

// TestMain lets the test binary also stand for the floor of the benchmarks.
func TestMain(m *testing.M) {
	if socket := os.Getenv(floorSocket); socket != "" {
		if err := serveFloor(socket); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(gatewaytest.Main(m))
}
