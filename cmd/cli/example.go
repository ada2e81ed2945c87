package cli

import (
	"strings"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate"
)

// exampleModel is a model name for the example request: the first without a star,
// else one that a wildcard serves; "" when none is known.
func exampleModel(router *routing.Router) string {
	for _, name := range router.Models() {
		if !strings.Contains(name, "*") {
			return name
		}
	}
	for _, d := range router.Deployments() {
		model := wellKnownModel(d.Provider)
		if name, ok := d.NameFor(model); ok && model != "" && router.Has(name) {
			return name
		}
	}
	return ""
}

// wellKnownModel is a model that a provider's customers can use; "" for a provider
// whose models differ from customer to customer.
func wellKnownModel(provider string) string {
	for _, p := range translate.Providers() {
		if p.Name == provider {
			return p.Example
		}
	}
	return ""
}
