package names_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// A configuration of an older isthmus may be in an Envoy that runs: what it says
// must still be understood.
func TestNamesStayAsEnvoysThatRunKnowThem(t *testing.T) {
	for got, want := range map[string]string{
		names.KeyFilter: "x-isthmus-filter", names.KeyPlan: "x-isthmus-plan", names.KeyLog: "x-isthmus-log", names.KeySecret: "x-isthmus-secret",
		names.KeyTimeouts: "x-isthmus-timeouts", names.TimeoutsOfClusters: "clusters",
		names.HeaderHost: "x-isthmus-host", names.HeaderCluster: "x-isthmus-cluster", names.HeaderIdle: "x-isthmus-idle-ms",
		names.HeaderUsage: "x-isthmus-usage", names.HeaderRetry: "x-isthmus-retry", names.HeaderBackoff: "x-isthmus-backoff",
		names.NamespaceExchange: "isthmus", names.NamespacePlan: "isthmus.plan", names.NamespaceAttempt: "isthmus.attempt",
		names.NamespaceUsage: "isthmus.usage", names.EndCluster: "isthmus-end",
		names.AttributeDeployment: "xds.upstream_host_metadata.filter_metadata['isthmus']['deployment']",
	} {
		if got != want {
			t.Errorf("%q, which Envoys that run know as %q", got, want)
		}
	}
}
