package routing

import "github.com/isthmus-proxy/isthmus/translate/upstream"

// class is the kind of a failure, by LiteLLM's name without its "Error" as the
// retry policies of the configuration have it.
type class string

const (
	classBadRequest    class = "BadRequest"
	classAuth          class = "Authentication"
	classTimeout       class = "Timeout"
	classRateLimit     class = "RateLimit"
	classContentPolicy class = "ContentPolicyViolation"
	classInternal      class = "InternalServer"
	classUnavailable   class = "ServiceUnavailable"
	classNotFound      class = "NotFound"
	classContextWindow class = "" // has no retries: the same request will not fit either
	classDefault       class = "Default"
)

// classOf is the class of a kind of failure.
func classOf(k upstream.Kind) class {
	switch k {
	case upstream.KindRequest:
		return classBadRequest
	case upstream.KindContextWindow:
		return classContextWindow
	case upstream.KindContentPolicy:
		return classContentPolicy
	case upstream.KindUnsupported, upstream.KindModelNotFound:
		return classNotFound
	case upstream.KindAccount, upstream.KindPermission:
		return classAuth
	case upstream.KindRateLimit:
		return classRateLimit
	case upstream.KindTimeout:
		return classTimeout
	case upstream.KindUnavailable:
		return classUnavailable
	case upstream.KindUnknown, upstream.KindConflict, upstream.KindServer, upstream.KindTransport: // refused or reset, as LiteLLM has it
	}
	return classInternal
}

// policy is retries per class of failure.
type policy map[class]int

// policies are the retry policies of a configuration.
type policies struct {
	all    policy
	groups map[string]policy
}

func newPolicies(all map[string]int, groups map[string]map[string]int) policies {
	p := policies{all: newPolicy(all), groups: make(map[string]policy, len(groups))}
	for group, of := range groups {
		p.groups[group] = newPolicy(of)
	}
	return p
}

func newPolicy(from map[string]int) policy {
	p := make(policy, len(from))
	for name, n := range from {
		p[class(name)] = n
	}
	return p
}

// of lists the policies that hold for a name, the first first: its own, or that of
// the model_name that serves it, then the one for all.
func (p policies) of(name, modelName string) [2]policy {
	own, ok := p.groups[name]
	if !ok {
		own = p.groups[modelName]
	}
	return [2]policy{own, p.all}
}

// retries is what the policies say about a class of failure of a name: the
// group's own policy is asked first, its default included.
func (p policies) retries(name, modelName string, c class) (int, bool) {
	if c == classContextWindow {
		return 0, false
	}
	for _, of := range p.of(name, modelName) {
		if n, ok := of[c]; ok {
			return n, true
		}
		if n, ok := of[classDefault]; ok {
			return n, true
		}
	}
	return 0, false
}

// most is the largest number of retries that a policy allows for a name.
func (p policies) most(name, modelName string) int {
	n := 0
	for _, of := range p.of(name, modelName) {
		for _, retries := range of {
			n = max(n, retries)
		}
	}
	return n
}

// retries is how many attempts may follow the first on a target before any
// failed. Envoy walks these by itself only after refused connections, resets and
// timeouts, so a policy for these holds here.
func (r *Router) retries(call *Call, t target) int {
	if call.NumRetries != nil && *call.NumRetries <= 0 {
		return 0
	}
	if n, ok := r.policies.retries(t.name, t.modelName(), classTimeout); ok {
		return n
	}
	if call.NumRetries != nil {
		return min(*call.NumRetries, maxAttempts)
	}
	n := -1
	for _, d := range t.group {
		if d.NumRetries != nil {
			n = max(n, *d.NumRetries)
		}
	}
	if n >= 0 {
		return n
	}
	return r.numRetries
}

// retriesAfter is how many attempts may follow the first on a target now that a
// hop of it has failed. named says that a policy names the class: then it is
// retried whatever the verdict. Each of the request's word, the policy, the failing
// deployment's num_retries and the router's gives way to the one before; only a
// request's 0 wins over a policy.
func (r *Router) retriesAfter(call *Call, hop *Hop, c class) (n int, named bool) {
	if call.NumRetries != nil && *call.NumRetries <= 0 {
		return 0, false
	}
	if n, ok := r.policies.retries(hop.Group, hop.Deployment.Group, c); ok {
		return n, true
	}
	if call.NumRetries != nil {
		return min(*call.NumRetries, maxAttempts), false
	}
	if n := hop.Deployment.NumRetries; n != nil {
		return *n, false
	}
	return r.numRetries, false
}
