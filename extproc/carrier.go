package extproc

import (
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/routing"
)

// carrier is how an Envoy is told the plan. Which one an Envoy takes depends on
// its version; its configuration says so in the filter's gRPC metadata.
type carrier int

const (
	// carryGroups: Envoy 1.40 and later read ordered clusters from metadata for
	// each attempt anew, so that a plan can change while it runs.
	carryGroups carrier = iota
	// carryCluster: Envoy 1.36 to 1.39 are given one cluster per first choice by
	// header; the order of the later attempts is that cluster's and fixed.
	carryCluster
)

func carrierOf(name string) carrier {
	switch name {
	case "composite", "aggregate":
		return carryCluster
	}
	return carryGroups
}

// endCluster is the name of the last group of every plan. No such cluster
// exists: it stops the cascade, where Envoy would otherwise repeat the last
// group until its retries are used up.
const endCluster = "isthmus-end"

// plan asks routing for a plan that this Envoy can be told.
func (c carrier) plan(r *routing.Router, call *routing.Call) (*routing.Plan, error) {
	if c == carryCluster {
		return r.PlanFixed(call)
	}
	return r.Plan(call)
}

// metadata is what goes back with the first attempt: the exchange's names and
// the plan.
func (c carrier) metadata(names map[string]*structpb.Value, plan *routing.Plan) *structpb.Struct {
	md := namespace(metadataExchange, names)
	if c == carryGroups {
		md.Fields[metadataPlan] = structpb.NewStructValue(groups(plan))
	}
	return md
}

// headers adds what Envoy must read from headers.
func (c carrier) headers(edit *headerEdit, plan *routing.Plan) {
	if c == carryCluster {
		edit.put("x-isthmus-cluster", routing.OrderName(plan.Name, plan.Hops[0].Deployment.Cluster))
	}
}

// replan is the metadata of a plan that changed at a failure; nil for none.
func replan(plan *routing.Plan) *structpb.Struct {
	if plan == nil {
		return nil
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{metadataPlan: structpb.NewStructValue(groups(plan))}}
}

// groups writes the plan as the priority_group specifier reads it: group i is
// attempt i+1, past attempts included.
func groups(plan *routing.Plan) *structpb.Struct {
	list := make([]*structpb.Value, 0, len(plan.Hops)+1)
	for i := range plan.Hops {
		list = append(list, group(i, plan.Hops[i].Deployment.Cluster))
	}
	list = append(list, group(len(plan.Hops), endCluster))
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"priority_groups": structpb.NewListValue(&structpb.ListValue{Values: list}),
	}}
}

func group(i int, cluster string) *structpb.Value {
	return structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
		"name": structpb.NewStringValue("attempt-" + strconv.Itoa(i+1)),
		"clusters": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{
			structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
				"cluster_name": structpb.NewStringValue(cluster),
				"weight":       structpb.NewNumberValue(1),
			}}),
		}}),
	}})
}
