package envoy

import (
	"fmt"
	"net/netip"
	"regexp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// Security is how the service knows Envoy, and Envoy the service. The zero value is
// plain text without a secret. Files are read where Envoy runs.
type Security struct {
	// Secret is said in the metadata of each stream. It stands in the configuration
	// as it is. At most one of Secret and SecretVariable is set.
	Secret string
	// SecretVariable is the environment variable of Envoy that has the secret, so
	// that the configuration does not.
	SecretVariable string

	CA        string // PEM: whose certificates the service may have; "": plain text
	Cert, Key string // PEM: Envoy's own certificate; "": none
	Name      string // that the service's certificate must be for; "": the host that is dialled
}

var (
	secretText     = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]*$`)
	secretVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// check says what cannot be written.
func (s Security) check() error {
	switch {
	case s.Secret != "" && s.SecretVariable != "":
		return fmt.Errorf("the shared secret comes from two places: say one")
	case !secretText.MatchString(s.Secret):
		return fmt.Errorf("the shared secret has other characters than letters, digits and -._~+/=")
	case s.SecretVariable != "" && !secretVariable.MatchString(s.SecretVariable):
		return fmt.Errorf("%q is no name of an environment variable", s.SecretVariable)
	case (s.Cert == "") != (s.Key == ""):
		return fmt.Errorf("a certificate and its key go together")
	case s.CA == "" && (s.Cert != "" || s.Name != ""):
		return fmt.Errorf("TLS towards isthmus needs the roots that its certificate must come from")
	}
	return nil
}

// secret is what every stream to the service says.
func (b *builder) secret() []*corev3.HeaderValue {
	switch s := b.in.Security; {
	case s.Secret != "":
		return []*corev3.HeaderValue{{Key: names.KeySecret, Value: s.Secret}}
	case s.SecretVariable != "":
		return []*corev3.HeaderValue{{Key: names.KeySecret, Value: "%ENVIRONMENT(" + s.SecretVariable + ")%"}}
	}
	return nil
}

// processorName is the name that the service's certificate must be for.
func (b *builder) processorName() string {
	if b.in.Security.Name != "" {
		return b.in.Security.Name
	}
	if len(b.in.Processors) > 1 && b.err == nil {
		b.err = fmt.Errorf("TLS to several addresses: say the name that the certificate of isthmus is for")
	}
	return b.in.Processors[0].Host
}

// processorTLS is the transport to the service; nil: plain text.
func (b *builder) processorTLS() *corev3.TransportSocket {
	s := b.in.Security
	if s.CA == "" {
		return nil
	}
	name := b.processorName()
	if name == "" && b.err == nil {
		b.err = fmt.Errorf("TLS over a socket: say the name that the certificate of isthmus is for")
	}
	context := &tlsv3.UpstreamTlsContext{Sni: name, CommonTlsContext: verified(s.CA, name)}
	if _, err := netip.ParseAddr(name); err == nil {
		context.Sni = "" // SNI is for names
	}
	context.CommonTlsContext.AlpnProtocols = []string{"h2"}
	if s.Cert != "" {
		context.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file(s.Cert), PrivateKey: file(s.Key)}}
	}
	return b.tlsSocket(context)
}

// verified is the TLS of a connection to a host with this name or IP, whose
// certificate comes from one of these roots.
func verified(roots, host string) *tlsv3.CommonTlsContext {
	kind := tlsv3.SubjectAltNameMatcher_DNS
	if _, err := netip.ParseAddr(host); err == nil {
		kind = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	}
	return &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: file(roots),
			MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
				SanType: kind,
				Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: host}},
			}},
		}},
	}
}

func file(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}

func (b *builder) tlsSocket(context *tlsv3.UpstreamTlsContext) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(context)},
	}
}
