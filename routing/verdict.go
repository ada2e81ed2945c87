package routing

import "github.com/isthmus-proxy/isthmus/translate/upstream"

// effects are what a kind of failure leads to. The table in docs/routing.md shows
// them.
type effects struct {
	remedy remedy
	beyond scope // remedy == tryOthers: where the deployment is not asked again
	health fault // what it says about the deployment
}

// remedy says what may help after a failed attempt.
type remedy uint8

const (
	// tryAny: another try may help, on the same deployment too.
	tryAny remedy = iota
	// tryOthers: this deployment will say the same again; another may not.
	tryOthers
	// tryLarger: only a model with a larger context window can help.
	tryLarger
	// tryOtherPolicy: only a model with another content policy can help.
	tryOtherPolicy
	// tryNone: the failure is the client's own; it gets the answer.
	tryNone
)

// scope is where in a cascade a deployment is not asked again.
type scope uint8

const (
	inGroup    scope = iota // where it is asked for that model
	everywhere              // for another model, too
)

// fault is what a failure says about a deployment's health.
type fault uint8

const (
	// counted: it is one of the failures that allowed_fails is about.
	counted fault = iota
	// cools: asking again soon cannot help; it cools down at once.
	cools
	// ignored: it says nothing.
	ignored
)

// effectsOf is what a kind of failure leads to. One that nobody has decided is taken
// as the server's.
func effectsOf(k upstream.Kind) effects {
	switch k {
	case upstream.KindRequest:
		return effects{remedy: tryNone, health: ignored}
	case upstream.KindContextWindow:
		return effects{remedy: tryLarger, health: ignored}
	case upstream.KindContentPolicy:
		return effects{remedy: tryOtherPolicy, health: ignored}
	case upstream.KindUnsupported:
		return effects{remedy: tryOthers, beyond: inGroup, health: ignored}
	case upstream.KindAccount:
		return effects{remedy: tryOthers, beyond: everywhere, health: cools}
	case upstream.KindPermission, upstream.KindModelNotFound:
		return effects{remedy: tryOthers, beyond: inGroup, health: cools}
	case upstream.KindRateLimit:
		return effects{remedy: tryAny, health: cools}
	case upstream.KindConflict:
		return effects{remedy: tryAny, health: ignored}
	case upstream.KindUnknown, upstream.KindUnavailable, upstream.KindTimeout, upstream.KindServer, upstream.KindTransport:
	}
	return effects{remedy: tryAny, health: counted}
}
