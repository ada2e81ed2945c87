package extproc

import (
	"slices"
	"strconv"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
)

// planEncoding is how an Envoy is told the plan. Which one an Envoy takes depends on
// its version; its configuration says so in the filter's gRPC metadata.
type planEncoding int

const (
	// planPriorityGroup: Envoy 1.40 and later read ordered clusters from metadata for
	// each attempt anew, so that a plan can change while it runs.
	planPriorityGroup planEncoding = iota
	// planComposite: Envoy 1.37 to 1.39 are given one cluster per first choice by
	// header; the order of the later attempts is that cluster's and fixed.
	planComposite
	// planAggregate: Envoy 1.36 the same, but its cluster walks each deployment
	// once, and passes over those whose host it does not know. It asks
	// about every attempt, and retries by status without asking.
	planAggregate
)

func planEncodingOf(name string) planEncoding {
	switch name {
	case names.PlanComposite:
		return planComposite
	case names.PlanAggregate:
		return planAggregate
	}
	return planPriorityGroup
}

// plan asks routing for a plan that this Envoy can be told.
func (e planEncoding) plan(r *routing.Router, call *routing.Call) (*routing.Plan, error) {
	if e == planPriorityGroup {
		return r.Plan(call)
	}
	plan, err := r.PlanFixed(call)
	if err == nil && e == planAggregate {
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
func (e planEncoding) metadata(plan *routing.Plan) wire.Metadata {
	if e != planPriorityGroup {
		return nil
	}
	return replan(plan)
}

// headers adds what Envoy must read from headers.
func (e planEncoding) headers(edit *wire.HeaderMutation, plan *routing.Plan) {
	if e != planPriorityGroup {
		edit.Set(names.HeaderCluster, plan.Order())
	}
}

// replan is the metadata of a plan that changed at a failure; nil for none.
func replan(plan *routing.Plan) wire.Metadata {
	if plan == nil {
		return nil
	}
	fields := planMetadata(plan)
	return make(wire.Metadata, 0, len(fields)+32).Object(names.NamespacePlan, fields)
}

// planMetadata is a plan as the priority_group specifier reads it: group i is
// attempt i+1, past attempts included.
func planMetadata(plan *routing.Plan) wire.Metadata {
	groups := make(wire.Metadata, 0, 112*(len(plan.Hops)+1))
	var memory groupMemory
	for i := range plan.Hops {
		groups = appendGroup(groups, i, plan.Hops[i].Cluster, &memory)
	}
	groups = appendGroup(groups, len(plan.Hops), names.EndCluster, &memory)
	return make(wire.Metadata, 0, len(groups)+64).List("priority_groups", groups)
}

// groupMemory is where the parts of one group are written, used again for the
// next: the list of its clusters, the one cluster, and the group.
type groupMemory struct{ cluster, clusters, group [192]byte }

// appendGroup adds the group of attempt i+1.
func appendGroup(groups wire.Metadata, i int, cluster string, memory *groupMemory) wire.Metadata {
	member := wire.Metadata(memory.cluster[:0]).Text("cluster_name", cluster).Number("weight", 1)
	clusters := wire.Metadata(memory.clusters[:0]).Item(member)
	name := strconv.AppendInt(append(make([]byte, 0, 16), "attempt-"...), int64(i+1), 10)
	return groups.Item(wire.Metadata(memory.group[:0]).Text("name", string(name)).List("clusters", clusters))
}
