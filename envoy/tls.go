package envoy

import (
	"fmt"
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// tls is the transport of an https upstream: the certificate must come from one
// of the system's roots and name the host that was configured.
func (b *builder) tls(u Upstream, e endpoint) (*corev3.TransportSocket, error) {
	if b.in.CABundle == "" {
		return nil, fmt.Errorf("deployment %s is asked over https, but no file with root certificates was found: install the system's "+
			"ca-certificates", u.Deployment)
	}
	sni := e.host
	if _, err := netip.ParseAddr(e.host); err == nil {
		sni = "" // SNI is for names
	}
	return b.tlsSocket(&tlsv3.UpstreamTlsContext{Sni: sni, CommonTlsContext: verified(b.in.CABundle, e.host)}), nil
}
