package envoy

import (
	"errors"
	"fmt"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// Attachment is what isthmus adds to an Envoy that has other traffic too. It
// leaves that traffic alone: the filter is off but for the virtual host, the
// upstream filters are those of isthmus's own clusters, and the error shapes
// are given to replies of the virtual host only.
type Attachment struct {
	Filter      *hcmv3.HttpFilter            // before the router filter
	VirtualHost *routev3.VirtualHost         // into the route table
	Manager     *hcmv3.HttpConnectionManager // settings to merge into the connection manager
	Clusters    []*clusterv3.Cluster
	// ListenerBuffer is what per_connection_buffer_limit_bytes of the listener
	// must be at least; 0 leaves it as it is.
	ListenerBuffer uint32
	// StreamListener and BootstrapExtension are needed by the stream clusters; nil:
	// there are none.
	StreamListener     *listenerv3.Listener
	BootstrapExtension *corev3.TypedExtensionConfig
}

// Attach returns the parts for an Envoy that somebody else configures.
func Attach(in Input) (*Attachment, error) {
	b := newBuilder(in)
	b.shared = true
	a, err := b.attachment()
	if err != nil {
		return nil, err
	}
	a.Clusters = append(b.processorClusters(), a.Clusters...)
	return a, b.valid(a.messages()...)
}

// attachment makes everything but the service's own cluster.
func (b *builder) attachment() (*Attachment, error) {
	domains, err := hostDomains(b.in.Domains)
	if err != nil {
		return nil, err
	}
	a := &Attachment{Filter: b.httpFilter(RequestFilter, b.requestFilter()), VirtualHost: b.virtualHost(domains)}
	a.Filter.Disabled = true
	a.VirtualHost.TypedPerFilterConfig = map[string]*anypb.Any{
		RequestFilter: b.any(&extprocv3.ExtProcPerRoute{Override: &extprocv3.ExtProcPerRoute_Overrides{
			Overrides: &extprocv3.ExtProcOverrides{}}}),
	}
	if !b.in.Version.limitsBodyByHost() {
		a.ListenerBuffer = b.connectionBuffer()
	}
	a.Manager = &hcmv3.HttpConnectionManager{LocalReplyConfig: b.localReplies()}
	if b.needsStreamListener() {
		a.StreamListener, a.BootstrapExtension = b.streamListener(), b.internalListeners()
	}
	a.Clusters, err = b.clusters()
	return a, err
}

// messages are the parts that are whole by themselves.
func (a *Attachment) messages() []interface{ ValidateAll() error } {
	out := []interface{ ValidateAll() error }{a.Filter, a.VirtualHost}
	for _, c := range a.Clusters {
		out = append(out, c)
	}
	if a.StreamListener != nil {
		out = append(out, a.StreamListener, a.BootstrapExtension)
	}
	return out
}

// hostDomains are the domains of a virtual host: each name with and without a
// port, as clients write it into the Host header.
func hostDomains(names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, errors.New("no domain: the Envoy has other traffic, so say the host name that leads to isthmus")
	}
	var out []string
	for _, n := range names {
		if n == "*" || strings.HasPrefix(n, "*.") && len(n) > 2 {
			out = append(out, n)
			continue
		}
		host, err := asciiHost(n)
		if err != nil || strings.Contains(host, "*") {
			return nil, fmt.Errorf("domain %q: want a host name, *.example.com or *", n)
		}
		out = append(out, host, host+":*")
	}
	return out, nil
}
