package routing

import "slices"

// Order is a plan whose order is fixed when the configuration is loaded, for
// Envoys before 1.40: they are given one cluster per requested name and first
// choice, whose sub-clusters are walked attempt by attempt.
type Order struct {
	Name     string // of the cluster
	Clusters []string
}

// OrderName is the name of the cluster that begins the plan of a requested name
// with a deployment's cluster.
func OrderName(name, cluster string) string { return "isthmus-order/" + name + "/" + cluster }

// streamOrderName is the same for streams, where some of its deployments have a
// StreamCluster.
func streamOrderName(name, cluster string) string {
	return "isthmus-stream-order/" + name + "/" + cluster
}

// Order is the name of the cluster of a fixed plan.
func (p *Plan) Order() string {
	first := p.Hops[0].Deployment.Cluster
	if slices.ContainsFunc(p.Hops, func(h Hop) bool { return h.Cluster != h.Deployment.Cluster }) {
		return streamOrderName(p.Name, first)
	}
	return OrderName(p.Name, first)
}

// Orders returns all fixed plans of the configuration, in a stable order.
func (r *Router) Orders() []Order {
	var orders []Order
	for _, name := range slices.Concat(r.models, r.named) {
		stages := r.cascade(&Call{}, r.resolve(name))
		for _, first := range stages[0].group {
			order, streams := Order{Name: OrderName(name, first.Cluster)}, Order{Name: streamOrderName(name, first.Cluster)}
			longest, bounded := longestOfStages(stages, true), false
			for _, h := range r.fixedOrder(&Call{}, stages, first) {
				d := h.deployment
				order.Clusters = append(order.Clusters, d.Cluster)
				if d.StreamCluster != "" && d.AttemptTimeout(true) < longest {
					streams.Clusters, bounded = append(streams.Clusters, d.StreamCluster), true
				} else {
					streams.Clusters = append(streams.Clusters, d.Cluster)
				}
			}
			orders = append(orders, order)
			if bounded {
				orders = append(orders, streams)
			}
		}
	}
	return orders
}

// fixedHop is one place of a fixed order.
type fixedHop struct {
	deployment *Deployment
	stage      int
}

// fixedOrder lists the attempts of a cascade that begins with first: each
// stage's deployments by their order, again from the front for each retry that
// is left.
func (r *Router) fixedOrder(call *Call, stages []target, first *Deployment) []fixedHop {
	var hops []fixedHop
	for i, t := range stages {
		group := slices.Clone(t.group)
		slices.SortStableFunc(group, byOrder)
		if i == 0 {
			group = slices.DeleteFunc(group, func(d *Deployment) bool { return d == first })
			group = slices.Insert(group, 0, first)
		}
		for n := range min(1+r.retries(call, t), maxAttempts) {
			if len(hops) < maxAttempts {
				hops = append(hops, fixedHop{group[n%len(group)], i})
			}
		}
	}
	return hops
}

// byOrder sorts deployments without an order last.
func byOrder(a, b *Deployment) int {
	rank := func(d *Deployment) int {
		if d.Order > 0 {
			return d.Order
		}
		return int(^uint(0) >> 1)
	}
	switch x, y := rank(a), rank(b); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// PlanFixed is Plan for an Envoy that takes fixed orders: the first deployment
// is chosen as ever, those after it are the order's, whatever their health.
func (r *Router) PlanFixed(call *Call) (*Plan, error) { return r.planFixed(call, true) }

func (r *Router) planFixed(call *Call, counted bool) (*Plan, error) {
	p, err := r.plan(call, counted)
	if err != nil {
		return nil, err
	}
	if err := r.fix(p); err != nil {
		return nil, err
	}
	return p, nil
}

// fix gives a plan the fixed order that begins with its first hop.
func (r *Router) fix(p *Plan) error {
	first := p.Hops[0]
	p.Name = r.ConfiguredName(p.call.Request.Model)
	if first.Fallback > 0 {
		p.Name = first.Deployment.Group // none before it can serve: its own order does
	}
	// The order's cluster was made from the configuration alone, so what a
	// single request says about its cascade cannot be followed here, except for
	// what the stars of a wildcard stand for.
	from := p.targets[first.Fallback]
	stages := r.cascade(&Call{}, r.resolve(p.Name))
	order := r.fixedOrder(&Call{}, stages, first.Deployment)
	p.Fixed, p.targets, p.Hops = true, make([]target, len(stages)), nil
	for i, t := range stages {
		p.targets[i], _ = t.after(from)
	}
	r.setTimeout(p)
	for _, h := range order {
		if err := p.add(h.deployment, p.targets[h.stage], h.stage, p.tried(h.deployment, h.stage)); err != nil {
			return err
		}
	}
	p.Attempts = len(p.Hops)
	return nil
}

// fixedNext says whether Envoy may go on to the next hop of a fixed order after an
// attempt failed in this way, and with which pause: it cannot be told to skip one.
// named says that a retry policy wants another try.
func (r *Router) fixedNext(p *Plan, f *failed, after remedy, named bool) Next {
	if f.n >= len(p.Hops) {
		return Next{}
	}
	other := p.Hops[f.n].Deployment != p.Hops[f.n-1].Deployment
	if after != tryAny && !(after == tryOthers && other) && !(named && after != tryOthers) {
		return Next{}
	}
	pause, ok := r.pause(p, f)
	if !ok {
		// Too long to wait for: Envoy passes by that one for what the order has behind it.
		pause = 0
		ok = slices.ContainsFunc(p.Hops[f.n:], func(h Hop) bool { return !h.Again })
	}
	return Next{Retry: ok, Pause: pause}
}
