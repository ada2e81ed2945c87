package envoy

import (
	"fmt"
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// tls is the transport of an https upstream: the certificate must come from one
// of the system's roots and name the host that was configured.
func (b *builder) tls(u Upstream, e endpoint) (*corev3.TransportSocket, error) {
	if b.in.CABundle == "" {
		return nil, fmt.Errorf("deployment %s is asked over https, but no file with root certificates was found: install the system's ca-certificates", u.Deployment)
	}
	kind, sni := tlsv3.SubjectAltNameMatcher_DNS, e.host
	if _, err := netip.ParseAddr(e.host); err == nil {
		kind, sni = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, "" // SNI is for names
	}
	context := &tlsv3.UpstreamTlsContext{
		Sni: sni,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
				TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: b.in.CABundle}},
				MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
					SanType: kind,
					Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: e.host}},
				}},
			}},
		},
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(context)},
	}, nil
}
