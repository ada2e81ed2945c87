package upstream

import (
	"slices"
	"strings"
)

// Drops reports whether the deployment never sends the named parameter
// (additional_drop_params).
func (t *Target) Drops(name string) bool { return slices.Contains(t.DropAlso, name) }

// Allows reports whether the deployment sends the named parameter as it is,
// although its provider is said to lack it (allowed_openai_params).
func (t *Target) Allows(name string) bool { return slices.Contains(t.AllowAlso, name) }

// Lacks is in the message of [Target.Refuse], behind the provider's name.
const Lacks = " does not support parameters: "

// Refuse returns the *Error for a request with parameters that the provider
// lacks. It is nil when there are none or the deployment drops them.
func (t *Target) Refuse(lacking []string) error {
	if len(lacking) == 0 || t.DropParams {
		return nil
	}
	return BadRequest(lacking[0], t.Provider+Lacks+strings.Join(lacking, ", ")+
		"; set drop_params: true to drop them")
}
