package providers

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

func TestCompatNewestSDKs(t *testing.T) {
	testring.Compat(t, "the newest SDKs of OpenAI and LangChain")
	runSDKs(t, gatewaytest.Newest)
}
