package translate

import (
	"github.com/isthmus-proxy/isthmus/translate/azure"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// binder makes the Translator of a deployment.
type binder func(*upstream.Target) (Translator, error)

// provider is the table of providers: the one place that names them all.
func provider(name string) (binder, bool) {
	switch name {
	case "azure":
		return func(t *upstream.Target) (Translator, error) { return azure.New(t) }, true
	case "openai", "custom_openai":
		return func(t *upstream.Target) (Translator, error) { return openai.New(t) }, true
	}
	return nil, false
}
