package routing

// Strategy chooses among the deployments of a group that may be used now. It is
// asked again, with those chosen before taken out, for each further attempt of
// the plan. from has at least one entry and must not be changed or kept. Pick is
// called by many requests at once: it reads, takes no lock and allocates nothing.
type Strategy interface {
	Pick(call *Call, from []*Deployment) int
}

// newStrategy is the table of strategies, by the names the configuration gives
// them.
func (r *Router) newStrategy(name string, arguments map[string]float64) Strategy {
	switch name {
	case "least-busy":
		return leastBusy{r.float, r.peers}
	case "latency-based":
		return latencyBased{r.float, max(arguments["lowest_latency_buffer"], 0)}
	case "usage-based":
		return usageBased{r.float, r.used, r.tokensEach}
	case "cost-based":
		return costBased{r.float}
	}
	return shuffle{r.float}
}
