package envoy

import "time"

// Input is all that an Envoy configuration is made from.
type Input struct {
	Version Version
	Listen  Address // of the clients; the port may be 0
	Admin   Address // Envoy's own admin interface; zero: none
	// Processors are where isthmus serves gRPC: its replicas, at least one. Only here
	// may a Host be a name; it stands for all of its addresses.
	Processors []Address
	Security   Security

	// Domains are the host names that lead to isthmus on an Envoy with other
	// traffic (Attach, Istio); a Bootstrap has nothing else and takes all.
	Domains []string

	// Dynamic: the Envoy of a Bootstrap asks the service for its upstream clusters
	// and routes (see Resources) instead of having them in its configuration, so
	// that they can change while it runs.
	Dynamic bool

	Upstreams []Upstream
	Orders    []Order // needed before 1.40

	MaxBody        uint64          // bytes of a request body; 0 = 100 MiB
	IdleTimeouts   []time.Duration // distinct longest gaps between bytes of an answer; none: 10 min
	MessageTimeout time.Duration   // of one ext_proc message; 0 = 10 s
	QueueTimeout   time.Duration   // the longest wait in the queue; 0 = 30 s

	CABundle  string // file with the root certificates; needed for https upstreams
	AccessLog string // file for a JSON access log; "" writes none
}

// Upstream is one deployment's way out.
type Upstream struct {
	Cluster    string // name of the cluster
	Deployment string // id, shown in Envoy's metadata
	URL        string // scheme://host[:port]/…; see parseEndpoint

	Timeout time.Duration // one attempt that does not stream, to its last byte; 0: no bound

	// StreamCluster is the name of the cluster of its streams; "": they need none.
	// StreamTimeout then bounds their first byte and the gaps after it.
	StreamCluster string
	StreamTimeout time.Duration
}

// Order is a fixed plan: see routing.Order.
type Order struct {
	Name     string
	Clusters []string
}

// withDefaults fills what was left out.
func (in Input) withDefaults() Input {
	if in.Version == 0 {
		in.Version = Default
	}
	if in.MaxBody == 0 {
		in.MaxBody = 100 << 20
	}
	in.setTimeouts()
	return in
}
