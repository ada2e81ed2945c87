package routing

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Limits says whether a deployment's own limits (rpm, tpm, parallel requests)
// leave room for one request more. It only looks: reserving is for whoever sends
// the attempt.
type Limits interface {
	// Wait is 0 when the deployment can take a request of about this many
	// tokens now, else how long until it can.
	Wait(deployment string, tokens int64) time.Duration
	// Reached are the limits for which Wait is not 0, of these deployments.
	Reached(deployments []string, tokens int64) []limit.Reached
	// RateLimits are the x-ratelimit fields of the deployment's own limits.
	RateLimits(deployment string) upstream.Header
}

// candidates fills p.pool with the deployments of target i that may be chosen
// now, lowest order not yet regarded. A half-open one may be chosen only for
// the attempt that comes next: one that is planned for later may never be made.
func (r *Router) candidates(p *Plan, i int, next bool, now time.Time) []*Deployment {
	t := p.targets[i]
	rule := r.tags.rule(p.call.Tags, t.group)
	pool := p.pool[:0]
	p.opened = false
	for _, d := range t.group {
		if !rule.allows(d) || !r.fits(d, p.call) || !supports(d, p.call) || p.isExcluded(d, i) {
			continue
		}
		switch d.health.phase(now) {
		case cooling, probing:
			continue
		case halfOpen:
			p.opened = true
		}
		if r.limits != nil && r.limits.Wait(d.ID, p.call.Tokens()) > 0 {
			continue
		}
		pool = append(pool, d)
	}
	p.pool = pool
	if !next && p.opened {
		return closed(pool, now)
	}
	return pool
}

// closed takes the half-open deployments out of a pool, unless it has no others.
func closed(pool []*Deployment, now time.Time) []*Deployment {
	half := func(d *Deployment) bool { return d.health.phase(now) != healthy }
	if !slices.ContainsFunc(pool, func(d *Deployment) bool { return !half(d) }) {
		return pool
	}
	return slices.DeleteFunc(pool, half)
}

func supports(d *Deployment, call *Call) bool {
	return d.translator == nil || d.translator.Supports(call.Request.Endpoint)
}

// lowestOrder puts the deployments with the smallest order in front and returns
// how many they are. Those without one come after all that have one.
func lowestOrder(from []*Deployment) int {
	best := 0
	for _, d := range from {
		if d.Order > 0 && (best == 0 || d.Order < best) {
			best = d.Order
		}
	}
	if best == 0 {
		return len(from)
	}
	n := 0
	for i, d := range from {
		if d.Order == best {
			copy(from[n+1:i+1], from[n:i])
			from[n] = d
			n++
		}
	}
	return n
}

// obstacles are why the deployments of a cascade cannot be chosen.
type obstacles struct {
	unsupported, untagged, tooSmall, resting int

	full       []string      // the deployments that have no room
	rest, wait time.Duration // the soonest end of a rest, and of a limit's wait
	next       string        // the full deployment that has room first
}

func (o *obstacles) note(r *Router, p *Plan, t target, now time.Time) {
	rule := r.tags.rule(p.call.Tags, t.group)
	for _, d := range t.group {
		switch {
		case !supports(d, p.call):
			o.unsupported++
		case !rule.allows(d):
			o.untagged++
		case !r.fits(d, p.call):
			o.tooSmall++
		case d.health.phase(now) != healthy:
			o.resting++
			until, _ := d.health.cooldown()
			o.rest = sooner(o.rest, until.Sub(now))
		case r.limits != nil:
			o.full = append(o.full, d.ID)
			if wait := sooner(o.wait, r.limits.Wait(d.ID, p.call.Tokens())); wait != o.wait {
				o.wait, o.next = wait, d.ID
			}
		}
	}
}

func sooner(a, b time.Duration) time.Duration {
	if b = max(b, time.Millisecond); a == 0 {
		return b
	}
	return min(a, b)
}

// unavailable is the error when no deployment of the cascade may be chosen: an
// [upstream.Error], or a [limit.Refused] that has one.
func (r *Router) unavailable(p *Plan, now time.Time) error {
	var o obstacles
	for _, t := range p.targets {
		o.note(r, p, t, now)
	}
	name := p.call.Request.Model
	switch {
	case len(o.full) > 0 && o.resting == 0:
		return r.allFull(&o, p.call)
	case len(o.full)+o.resting > 0:
		wait := o.rest
		if len(o.full) > 0 {
			wait = sooner(wait, o.wait)
		}
		return unservable("every deployment of `"+name+"` is cooling down after failures; try again in "+
			strconv.Itoa(upstream.WholeSeconds(wait))+" s", "no_deployment_available", wait)
	case o.tooSmall > 0:
		return &upstream.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Param: "messages", Code: upstream.CodeContextLength,
			Message: "the messages exceed the context window of every deployment of `" + name + "`"}
	case o.untagged > 0:
		return &upstream.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Param: "tags", Code: "no_deployment_for_tags",
			Message: "no deployment of `" + name + "` carries the tags of the request"}
	}
	return upstream.BadRequest("model", "the model `"+name+"` does not support "+string(p.call.Request.Endpoint))
}

// allFull is the refusal when all deployments that could serve have reached their limits.
func (r *Router) allFull(o *obstacles, call *Call) *limit.Refused {
	seconds := strconv.Itoa(upstream.WholeSeconds(o.wait))
	reached := r.limits.Reached(o.full, call.Tokens())
	return &limit.Refused{Wait: o.wait, Limits: reached, Answer: &upstream.Error{
		Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "rate_limit_exceeded",
		Message: "the limits of every deployment of `" + call.Request.Model + "` are reached" + limit.ReachedText(reached) +
			"; try again in " + seconds + " s",
		Header: append(upstream.Header{{Name: "retry-after", Value: seconds}}, r.limits.RateLimits(o.next)...),
	}}
}

// unservable is a 503 with the time to come back; 0: not known.
func unservable(message, code string, wait time.Duration) *upstream.Error {
	e := &upstream.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: code, Message: message}
	if wait > 0 {
		e.Header = upstream.Header{{Name: "retry-after", Value: strconv.Itoa(upstream.WholeSeconds(wait))}}
	}
	return e
}
