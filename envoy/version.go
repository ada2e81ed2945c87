package envoy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// Version is an Envoy release line, by its minor number: 40 is 1.40.
type Version int

// The release lines that are told apart. Newest is the last one tested; later
// ones are written for as if they were it.
const (
	Oldest  Version = 36
	Newest  Version = 40
	Default         = Newest
)

// ParseVersion reads "1.40", "1.40.2" or "1.40.3-dev", with or without a "v".
func ParseVersion(s string) (Version, error) {
	n, ok := minor(s)
	if !ok {
		return 0, fmt.Errorf("%q is no Envoy version; say it as 1.%d", s, Default)
	}
	if Version(n) < Oldest {
		return 0, fmt.Errorf("Envoy %s is too old: isthmus needs 1.%d or later", s, Oldest)
	}
	return Version(n), nil
}

// minor is the second number of a version whose first is 1.
func minor(s string) (int, bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(s, "v"), "1.")
	text, _, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), ok && err == nil
}

func (v Version) String() string { return "1." + strconv.Itoa(int(v)) }

// PlanName is how this version is told the plan, one of the values of
// names.KeyPlan.
func (v Version) PlanName() string {
	switch {
	case v.choosesPerAttempt():
		return names.PlanPriorityGroup
	case v.hasCompositeCluster():
		return names.PlanComposite
	}
	return names.PlanAggregate
}

// choosesPerAttempt: the priority_group cluster specifier came with 1.40.
func (v Version) choosesPerAttempt() bool { return v >= 40 }

// hasCompositeCluster: the composite cluster, whose n-th sub-cluster gets attempt n, came
// with 1.37. Before, an aggregate cluster walks its own in order, each once.
func (v Version) hasCompositeCluster() bool { return v >= 37 }

// retriesFromFilter: from 1.37 on an upstream filter may make Envoy retry an
// answer. 1.36 crashes at that, so it judges by status codes alone.
func (v Version) retriesFromFilter() bool { return v >= 37 }

// hidesLocalReplies: 1.36, unless its runtime says otherwise, does not show ext_proc the
// answers that Envoy makes itself, such as those after a timeout.
func (v Version) hidesLocalReplies() bool { return v < 37 }

// hasSSEToMetadata: the sse_to_metadata filter came with 1.38.
func (v Version) hasSSEToMetadata() bool { return v >= 38 }

// limitsBodyByHost: from 1.37 on the virtual host's limit of a request body holds
// for what a filter buffers too; before, the listener's did.
func (v Version) limitsBodyByHost() bool { return v >= 37 }

// hasListenerKeepalive: a listener's TCP keepalive came with 1.37.
func (v Version) hasListenerKeepalive() bool { return v >= 37 }

// countsBodyTwice: before 1.38 the router counted a body that a filter has buffered
// twice against the limit, and never retried one of more than half of it.
func (v Version) countsBodyTwice() bool { return v < 38 }
