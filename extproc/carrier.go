package extproc

import (
	"slices"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing"
)

// carrier is how an Envoy is told the plan. Which one an Envoy takes depends on
// its version; its configuration says so in the filter's gRPC metadata.
type carrier int

const (
	// carryGroups: Envoy 1.40 and later read ordered clusters from metadata for
	// each attempt anew, so that a plan can change while it runs.
	carryGroups carrier = iota
	// carryCluster: Envoy 1.37 to 1.39 are given one cluster per first choice by
	// header; the order of the later attempts is that cluster's and fixed.
	carryCluster
	// carryPriorities: Envoy 1.36 the same, but its cluster walks each deployment
	// once, and passes over those whose host it does not know. It asks
	// about every attempt, and retries by status without asking.
	carryPriorities
)

func carrierOf(name string) carrier {
	switch name {
	case names.PlanComposite:
		return carryCluster
	case names.PlanAggregate:
		return carryPriorities
	}
	return carryGroups
}

// plan asks routing for a plan that this Envoy can be told.
func (c carrier) plan(r *routing.Router, call *routing.Call) (*routing.Plan, error) {
	if c == carryGroups {
		return r.Plan(call)
	}
	plan, err := r.PlanFixed(call)
	if err == nil && c == carryPriorities {
		once(plan)
	}
	return plan, err
}

// once leaves each deployment's first hop in the plan: the second pass of an
// aggregate cluster has another order than ours.
func once(plan *routing.Plan) {
	seen := map[*routing.Deployment]bool{}
	plan.Hops = slices.DeleteFunc(plan.Hops, func(h routing.Hop) bool {
		again := seen[h.Deployment]
		seen[h.Deployment] = true
		return again
	})
	plan.Attempts = len(plan.Hops)
}

// metadata is what goes back with the first attempt: the plan. The exchange's names
// are in Envoy since the headers.
func (c carrier) metadata(plan *routing.Plan) metadata {
	if c != carryGroups {
		return nil
	}
	return replan(plan)
}

// headers adds what Envoy must read from headers.
func (c carrier) headers(edit *headerEdit, plan *routing.Plan) {
	if c != carryGroups {
		edit.put(names.HeaderCluster, routing.OrderName(plan.Name, plan.Hops[0].Deployment.Cluster))
	}
}

// replan is the metadata of a plan that changed at a failure; nil for none.
func replan(plan *routing.Plan) metadata {
	if plan == nil {
		return nil
	}
	fields := planMetadata(plan)
	return make(metadata, 0, len(fields)+32).object(names.NamespacePlan, fields)
}
