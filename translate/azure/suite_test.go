package azure_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
)

var suite = translatetest.Suite{Provider: "azure", Model: "prod-chat", BaseURL: base}

func TestExchanges(t *testing.T) { translatetest.Run(t, suite) }
