package openai_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
)

func TestExchanges(t *testing.T) {
	translatetest.Run(t, translatetest.Suite{BaseURL: "https://api.openai.com/v1"})
}
