package envoy

// The kinds of Istio that isthmus writes, with the fields it uses. Istio's own Go
// types would bring in the whole of Kubernetes' client.

// manifest is a Kubernetes resource.
type manifest struct {
	APIVersion string           `yaml:"apiVersion"`
	Kind       string           `yaml:"kind"`
	Metadata   manifestMetadata `yaml:"metadata"`
	Spec       any              `yaml:"spec"`
}

type manifestMetadata struct {
	Name      string            `yaml:"name"`
	Namespace string            `yaml:"namespace"`
	Labels    map[string]string `yaml:"labels,omitempty"`
}

type envoyFilterSpec struct {
	WorkloadSelector workloadSelector `yaml:"workloadSelector"`
	ConfigPatches    []configPatch    `yaml:"configPatches"`
}

type workloadSelector struct {
	Labels map[string]string `yaml:"labels"`
}

type configPatch struct {
	ApplyTo string     `yaml:"applyTo"`
	Match   patchMatch `yaml:"match"`
	Patch   patch      `yaml:"patch"`
}

type patchMatch struct {
	Context            string                   `yaml:"context"`
	Proxy              *proxyMatch              `yaml:"proxy,omitempty"`
	Listener           *listenerMatch           `yaml:"listener,omitempty"`
	RouteConfiguration *routeConfigurationMatch `yaml:"routeConfiguration,omitempty"`
	Cluster            *clusterMatch            `yaml:"cluster,omitempty"`
}

// proxyMatch keeps the patches from a gateway of another Istio, whose Envoy may
// not take them: after an upgrade the host name has no route until they are
// written anew.
type proxyMatch struct {
	ProxyVersion string `yaml:"proxyVersion"`
}

type listenerMatch struct {
	PortNumber  uint32            `yaml:"portNumber,omitempty"`
	FilterChain *filterChainMatch `yaml:"filterChain,omitempty"`
}

type filterChainMatch struct {
	Filter filterMatch `yaml:"filter"`
}

type filterMatch struct {
	Name      string       `yaml:"name"`
	SubFilter *filterMatch `yaml:"subFilter,omitempty"`
}

type routeConfigurationMatch struct {
	PortNumber uint32 `yaml:"portNumber,omitempty"`
	Gateway    string `yaml:"gateway,omitempty"`
}

type clusterMatch struct {
	Service    string `yaml:"service"`
	PortNumber uint32 `yaml:"portNumber"`
	Subset     string `yaml:"subset,omitempty"` // "": every one, and the service's own cluster
}

type patch struct {
	Operation string `yaml:"operation"`
	Value     any    `yaml:"value"`
}

func (m *mesh) metadata() manifestMetadata {
	return manifestMetadata{Name: m.options.Name, Namespace: m.options.Namespace,
		Labels: map[string]string{"app.kubernetes.io/part-of": "isthmus"}}
}

func (m *mesh) envoyFilter(patches []configPatch) manifest {
	return manifest{
		APIVersion: "networking.istio.io/v1alpha3", Kind: "EnvoyFilter", Metadata: m.metadata(),
		Spec: envoyFilterSpec{WorkloadSelector: workloadSelector{Labels: m.options.Selector}, ConfigPatches: patches},
	}
}

type serviceEntrySpec struct {
	Hosts      []string           `yaml:"hosts"`
	Location   string             `yaml:"location"`
	Ports      []serviceEntryPort `yaml:"ports"`
	Resolution string             `yaml:"resolution"`
}

type serviceEntryPort struct {
	Number   uint32 `yaml:"number"`
	Name     string `yaml:"name"`
	Protocol string `yaml:"protocol"`
}

// serviceEntry tells the mesh of a service outside of it.
func (m *mesh) serviceEntry() manifest {
	return manifest{
		APIVersion: "networking.istio.io/v1", Kind: "ServiceEntry", Metadata: m.metadata(),
		Spec: serviceEntrySpec{
			Hosts: []string{m.service.name}, Location: "MESH_EXTERNAL", Resolution: "DNS",
			Ports: []serviceEntryPort{{Number: m.service.port, Name: "grpc", Protocol: "GRPC"}},
		},
	}
}

type destinationRuleSpec struct {
	Host          string        `yaml:"host"`
	TrafficPolicy trafficPolicy `yaml:"trafficPolicy"`
	Subsets       []subset      `yaml:"subsets"`
}

// subset without labels is all pods, under the rule's own policy.
type subset struct {
	Name string `yaml:"name"`
}

type trafficPolicy struct {
	ConnectionPool   connectionPool   `yaml:"connectionPool"`
	OutlierDetection outlierDetection `yaml:"outlierDetection"`
	TLS              *clientTLS       `yaml:"tls,omitempty"`
}

// clientTLS is how a gateway speaks to a service that has its own certificate. Its
// files are in the gateway's pods.
type clientTLS struct {
	Mode            string   `yaml:"mode"` // SIMPLE, or MUTUAL with a certificate of the gateway's
	Client          string   `yaml:"clientCertificate,omitempty"`
	Key             string   `yaml:"privateKey,omitempty"`
	CA              string   `yaml:"caCertificates"`
	SNI             string   `yaml:"sni"`
	SubjectAltNames []string `yaml:"subjectAltNames"`
}

// clientTLS is that of the rule; nil: the mesh's own.
func (m *mesh) clientTLS() *clientTLS {
	s := m.in.Security
	if s.CA == "" {
		return nil
	}
	t := &clientTLS{Mode: "SIMPLE", CA: s.CA, SNI: m.processorName(), SubjectAltNames: []string{m.processorName()}}
	if s.Cert != "" {
		t.Mode, t.Client, t.Key = "MUTUAL", s.Cert, s.Key
	}
	return t
}

type connectionPool struct {
	TCP  tcpPool  `yaml:"tcp"`
	HTTP httpPool `yaml:"http"`
}

type tcpPool struct {
	ConnectTimeout string       `yaml:"connectTimeout"`
	TCPKeepalive   tcpKeepalive `yaml:"tcpKeepalive"`
}

type tcpKeepalive struct {
	Time     string `yaml:"time"`
	Interval string `yaml:"interval"`
}

type httpPool struct {
	HTTP2MaxRequests int    `yaml:"http2MaxRequests"`
	MaxRetries       int    `yaml:"maxRetries"`
	IdleTimeout      string `yaml:"idleTimeout"`
}

// outlierDetection at zero is none: an isthmus that refuses a request has not
// failed, and ejecting the only one would refuse all.
type outlierDetection struct {
	Consecutive5xxErrors     int `yaml:"consecutive5xxErrors"`
	ConsecutiveGatewayErrors int `yaml:"consecutiveGatewayErrors"`
}

// destinationRule lifts what a mesh-wide rule may have limited: the streams to
// the service are as many and as long as the answers that run.
func (m *mesh) destinationRule() manifest {
	return manifest{
		APIVersion: "networking.istio.io/v1", Kind: "DestinationRule", Metadata: m.metadata(),
		Spec: destinationRuleSpec{Host: m.service.name, TrafficPolicy: trafficPolicy{TLS: m.clientTLS(), ConnectionPool: connectionPool{
			TCP:  tcpPool{ConnectTimeout: "5s", TCPKeepalive: tcpKeepalive{Time: "60s", Interval: "15s"}},
			HTTP: httpPool{HTTP2MaxRequests: 1<<31 - 1, MaxRetries: 1<<31 - 1, IdleTimeout: "3600s"},
		}}, Subsets: []subset{{Name: attemptsSubset}}},
	}
}
