package envoy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// IstioVersion is an Istio release line, by its minor number: 31 is 1.31.
type IstioVersion int

// The Istio releases that have an Envoy this package writes for.
const (
	OldestIstio  IstioVersion = 28
	NewestIstio  IstioVersion = 31
	DefaultIstio              = NewestIstio
)

// istioLag is how far Istio's minor number is behind that of its Envoy.
const istioLag = 8

// ParseIstioVersion reads "1.29" or "1.29.3".
func ParseIstioVersion(s string) (IstioVersion, error) {
	n, ok := minor(s)
	v := IstioVersion(n)
	switch {
	case !ok:
		return 0, fmt.Errorf("%q is no Istio version; say it as 1.%d", s, DefaultIstio)
	case v < OldestIstio:
		return 0, fmt.Errorf("Istio %s is too old: isthmus needs 1.%d or later", s, OldestIstio)
	case v > NewestIstio:
		return 0, fmt.Errorf("Istio %s is not known: its Envoy must be; 1.%d is the newest known", s, NewestIstio)
	}
	return v, nil
}

func (v IstioVersion) String() string { return "1." + strconv.Itoa(int(v)) }

// Envoy is the Envoy inside.
func (v IstioVersion) Envoy() Version { return Version(int(v) + istioLag) }

// IstioOptions say where in the mesh isthmus goes.
type IstioOptions struct {
	Version   IstioVersion // 0 = DefaultIstio
	Name      string       // of the resources; "" = isthmus
	Namespace string       // the gateway's namespace, whose Envoys are patched
	// Selector is the labels of the gateway's pods, as "istio=ingressgateway".
	Selector map[string]string
	// Gateway is the Gateway resource ("namespace/name") whose route table gets
	// the virtual host; "" takes every one that the port names.
	Gateway string
	Port    uint32 // of the gateway's server; 0 = every port
}

// Istio returns the manifests, as YAML documents, that put isthmus into the
// gateways of a mesh: an EnvoyFilter, and what Istio must know of the service.
// in.Version is taken from the Istio version.
func Istio(in Input, o IstioOptions) ([]byte, error) {
	if o.Version == 0 {
		o.Version = DefaultIstio
	}
	if o.Name == "" {
		o.Name = "isthmus"
	}
	if o.Namespace == "" {
		return nil, errors.New("no namespace: say that of the gateway")
	}
	if len(o.Selector) == 0 {
		return nil, errors.New("no selector: say labels of the gateway's pods, or every Envoy of the namespace is patched")
	}
	in.Version = o.Version.Envoy()
	m := &mesh{builder: newBuilder(in), options: o}
	m.shared = true
	if len(in.Processors) > 1 && slices.ContainsFunc(in.Processors, Address.named) {
		return nil, errors.New("several addresses with a name among them: Istio knows a service by one name, which is all of its addresses")
	}
	m.service = serviceOf(in.Processors[0])
	if m.service.name != "" {
		m.processor, m.attempts, m.authority = m.service.cluster(""), m.service.cluster(attemptsSubset), m.service.name
	}
	return m.manifests()
}

// mesh makes the manifests of one mesh.
type mesh struct {
	*builder
	options IstioOptions
	service meshService
}

// meshService is isthmus as Istio's service registry has it. The zero value is
// an address that Istio need not know: a socket or an IP.
type meshService struct {
	name     string // host name in the registry
	port     uint32
	external bool // no Service of the cluster: needs a ServiceEntry
}

func serviceOf(a Address) meshService {
	if !a.named() {
		return meshService{}
	}
	name := a.Host
	if strings.HasSuffix(name, ".svc") {
		name += ".cluster.local"
	}
	return meshService{name: name, port: a.Port, external: !strings.Contains(name, ".svc.")}
}

// attemptsSubset is the subset of the DestinationRule that gives the filters of
// the attempts a cluster of their own, to all of the service's pods.
const attemptsSubset = "attempts"

// cluster is the name that Istio gives the service's cluster; subset may be "".
func (s meshService) cluster(subset string) string {
	return fmt.Sprintf("outbound|%d|%s|%s", s.port, subset, s.name)
}

func (m *mesh) manifests() ([]byte, error) {
	patches, err := m.patches()
	if err != nil {
		return nil, err
	}
	var list []any
	if m.service.external {
		list = append(list, m.serviceEntry())
	}
	if m.service.name != "" {
		list = append(list, m.destinationRule())
	}
	list = append(list, m.envoyFilter(patches))
	var out bytes.Buffer
	fmt.Fprintf(&out, "# For Istio %s (Envoy %s). docs/istio.md explains every patch.\n", m.options.Version, m.in.Version)
	for i, one := range list {
		text, err := marshal(one)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

// patches are the changes to the gateways' Envoys.
func (m *mesh) patches() ([]configPatch, error) {
	a, err := m.attachment()
	if err != nil {
		return nil, err
	}
	var out []configPatch
	add := func(applyTo, operation string, match patchMatch, value proto.Message) {
		if err != nil {
			return
		}
		match.Context, match.Proxy = "GATEWAY", &proxyMatch{ProxyVersion: "^1\\." + strconv.Itoa(int(m.options.Version)) + "\\..*"}
		var t any
		t, err = tree(value)
		out = append(out, configPatch{ApplyTo: applyTo, Match: match, Patch: patch{Operation: operation, Value: t}})
	}
	add("HTTP_FILTER", "INSERT_BEFORE", patchMatch{Listener: m.listenerMatch(routerFilter)}, a.Filter)
	add("NETWORK_FILTER", "MERGE", patchMatch{Listener: m.listenerMatch("")}, &listenerv3.Filter{
		Name: connectionManager, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: m.any(a.Manager)},
	})
	if a.ListenerBuffer > 0 {
		add("LISTENER", "MERGE", patchMatch{Listener: &listenerMatch{PortNumber: m.options.Port}}, &listenerv3.Listener{
			PerConnectionBufferLimitBytes: wrapperspb.UInt32(a.ListenerBuffer),
		})
	}
	add("VIRTUAL_HOST", "ADD", patchMatch{RouteConfiguration: &routeConfigurationMatch{PortNumber: m.options.Port,
		Gateway: m.options.Gateway}}, a.VirtualHost)
	if m.service.name == "" {
		a.Clusters = append(m.processorClusters(), a.Clusters...)
	} else {
		// The first patch holds for the subset's cluster, too, of which the second
		// replaces the options. Breakers are the DestinationRule's: a merge would add to
		// Istio's list.
		c := &clusterv3.Cluster{
			PerConnectionBufferLimitBytes: wrapperspb.UInt32(processorBuffer), TypedExtensionProtocolOptions: m.processorOptions(processorStream),
		}
		if m.service.external {
			m.checkReplicas(c) // of the mesh's own services Istio knows which replicas are ready
		}
		add("CLUSTER", "MERGE", patchMatch{Cluster: &clusterMatch{Service: m.service.name, PortNumber: m.service.port}}, c)
		add("CLUSTER", "MERGE", patchMatch{Cluster: &clusterMatch{Service: m.service.name, PortNumber: m.service.port, Subset: attemptsSubset}},
			&clusterv3.Cluster{TypedExtensionProtocolOptions: m.processorOptions(attemptsStream)})
	}
	for _, c := range a.Clusters {
		add("CLUSTER", "ADD", patchMatch{}, c)
	}
	if a.StreamListener != nil { // Istio's own bootstrap has the extension
		add("LISTENER", "ADD", patchMatch{}, a.StreamListener)
	}
	if err != nil {
		return nil, err
	}
	return out, m.valid(a.messages()...)
}

const (
	connectionManager = "envoy.filters.network.http_connection_manager"
	routerFilter      = "envoy.filters.http.router"
)

// listenerMatch is every listener with an HTTP connection manager: the filter is
// off but for the virtual host, so that it need not name a port.
func (m *mesh) listenerMatch(subFilter string) *listenerMatch {
	f := filterMatch{Name: connectionManager}
	if subFilter != "" {
		f.SubFilter = &filterMatch{Name: subFilter}
	}
	return &listenerMatch{FilterChain: &filterChainMatch{Filter: f}}
}
