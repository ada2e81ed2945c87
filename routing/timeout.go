package routing

import (
	"slices"
	"time"
)

// How long one attempt may take. Each deployment's own time holds for its own
// attempts: Envoy has it in that deployment's clusters. What Envoy reads once for a
// request, the longest gap between bytes, is the longest of all times that the plan
// may come to.

// timeout is the request's own time for one attempt; 0: as configured.
func (c *Call) timeout() time.Duration {
	if c.Request.Stream && c.StreamTimeout > 0 {
		return c.StreamTimeout
	}
	return c.Timeout
}

// AttemptTimeout is the time that one attempt on this deployment may take: until the
// first byte of a stream, or the end of an answer that does not stream. 0: no bound.
func (d *Deployment) AttemptTimeout(stream bool) time.Duration {
	if stream && d.StreamTimeout > 0 {
		return d.StreamTimeout
	}
	return d.Timeout
}

// timeouts are the times of all deployments, for one kind of request.
type timeouts struct {
	longest time.Duration
	equal   bool // all deployments have that one
	// special is the longest of those that only a context-window or content-policy
	// failure leads to.
	special time.Duration
}

// linkTimeouts compares the times of the deployments, and names the clusters of the
// streams that need one.
func (r *Router) linkTimeouts() {
	r.blocking, r.streaming = r.timeoutsOf(false), r.timeoutsOf(true)
	if !slices.ContainsFunc(r.deployments, func(d *Deployment) bool { return d.TTFTTimeout == 0 }) {
		for _, d := range r.deployments {
			r.firstTokens = max(r.firstTokens, d.TTFTTimeout)
		}
	}
	for _, d := range r.deployments {
		if own := d.AttemptTimeout(true); own > 0 && own < r.streaming.longest {
			d.StreamCluster = d.Cluster + "/stream"
		}
	}
}

func (r *Router) timeoutsOf(stream bool) timeouts {
	t := timeouts{longest: longestOf(r.deployments, stream)}
	t.equal = !slices.ContainsFunc(r.deployments, func(d *Deployment) bool { return d.AttemptTimeout(stream) != t.longest })
	for _, lists := range []map[string][]string{r.contextWindow, r.contentPolicy} {
		for _, names := range lists {
			for _, name := range names {
				t.special = max(t.special, longestOfStages(r.resolve(name), stream))
			}
		}
	}
	return t
}

func longestOf(group []*Deployment, stream bool) time.Duration {
	var longest time.Duration
	for _, d := range group {
		longest = max(longest, d.AttemptTimeout(stream))
	}
	return longest
}

func longestOfStages(stages []target, stream bool) time.Duration {
	var longest time.Duration
	for _, t := range stages {
		longest = max(longest, longestOf(t.group, stream))
	}
	return longest
}

// setTimeout sets the plan's Timeout, once its targets are known.
func (r *Router) setTimeout(p *Plan) {
	stream := p.call.Request.Stream
	if stream {
		p.FirstToken = r.firstToken(p)
	}
	if own := p.call.timeout(); own > 0 {
		p.Timeout, p.ClientTimeout = own, true
		return
	}
	all := &r.blocking
	if stream {
		all = &r.streaming
	}
	switch {
	case all.equal:
		p.Timeout = all.longest
	case p.Fixed || p.call.DisableFallbacks: // such failures lead nowhere else
		p.Timeout = longestOfStages(p.targets, stream)
	default:
		p.Timeout = max(all.special, longestOfStages(p.targets, stream))
	}
}

// attemptTimeout is the time of an attempt on a deployment, and the cluster that
// Envoy keeps it with.
func (p *Plan) attemptTimeout(d *Deployment) (timeout time.Duration, cluster string) {
	switch {
	case p.call.Request == nil:
		return d.Timeout, d.Cluster
	case p.ClientTimeout:
		return p.Timeout, d.Cluster
	}
	stream := p.call.Request.Stream
	timeout, cluster = d.AttemptTimeout(stream), d.Cluster
	if stream && p.call.StreamClusters && d.StreamCluster != "" && timeout < p.Timeout {
		cluster = d.StreamCluster
	}
	return timeout, cluster
}

// firstToken is the longest TTFTTimeout of the deployments that a stream's plan may
// come to; 0: one of them has none.
func (r *Router) firstToken(p *Plan) time.Duration {
	if r.firstTokens == 0 && len(r.contextWindow)+len(r.contentPolicy) > 0 {
		return 0 // such a failure may lead to one that has none
	}
	var longest time.Duration
	for _, t := range p.targets {
		for _, d := range t.group {
			if d.TTFTTimeout == 0 {
				return 0
			}
			longest = max(longest, d.TTFTTimeout)
		}
	}
	return max(longest, r.firstTokens)
}

// SilentTime is how long attempt n may say nothing before Envoy gives it up; 0: no
// bound.
func (p *Plan) SilentTime(n int) time.Duration {
	own := p.Hops[n-1].Timeout
	if p.FirstToken > 0 && (own == 0 || p.FirstToken < own) {
		return p.FirstToken
	}
	return own
}
