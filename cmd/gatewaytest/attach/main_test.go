package attach

import (
	"os"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }
