package envoy

import (
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

func input(upstreams ...Upstream) Input {
	return Input{
		Listen: Address{Host: "127.0.0.1", Port: 4000}, Processors: []Address{{Path: "/run/isthmus.sock"}},
		Upstreams: upstreams, CABundle: "/ca.pem", Domains: []string{"llm.example.com"},
	}
}

func TestAnHTTPSUpstreamMustProveTheNameThatWasConfigured(t *testing.T) {
	for url, want := range map[string]struct {
		sni, san string
		kind     tlsv3.SubjectAltNameMatcher_SanType
	}{
		"https://API.openai.com./v1": {"api.openai.com", "api.openai.com", tlsv3.SubjectAltNameMatcher_DNS},
		"https://bücher.example/":    {"xn--bcher-kva.example", "xn--bcher-kva.example", tlsv3.SubjectAltNameMatcher_DNS},
		"https://192.0.2.7/v1":       {"", "192.0.2.7", tlsv3.SubjectAltNameMatcher_IP_ADDRESS},
		"https://[2001:DB8::7]:8443": {"", "2001:db8::7", tlsv3.SubjectAltNameMatcher_IP_ADDRESS},
	} {
		boot, err := Bootstrap(input(Upstream{Cluster: "c", Deployment: "d", URL: url}))
		if err != nil {
			t.Fatal(err)
		}
		tls := &tlsv3.UpstreamTlsContext{}
		clusters := boot.GetStaticResources().GetClusters()
		if err := clusters[len(clusters)-1].GetTransportSocket().GetTypedConfig().UnmarshalTo(tls); err != nil {
			t.Fatal(err)
		}
		validation := tls.GetCommonTlsContext().GetValidationContext()
		san := validation.GetMatchTypedSubjectAltNames()
		if tls.GetSni() != want.sni || len(san) != 1 || san[0].GetSanType() != want.kind || san[0].GetMatcher().GetExact() != want.san {
			t.Errorf("%s: SNI %q, names %v; want %+v", url, tls.GetSni(), san, want)
		}
		if validation.GetTrustedCa().GetFilename() != "/ca.pem" {
			t.Errorf("%s: roots from %v", url, validation.GetTrustedCa())
		}
	}
}

func TestWhatCannotBecomeAConfigurationSaysWhy(t *testing.T) {
	https := Upstream{Cluster: "c", Deployment: "gpt-1", URL: "https://api.openai.com/v1"}
	noRoots := input(https)
	noRoots.CABundle = ""
	noDomain, wrongDomain := input(https), input(https)
	noDomain.Domains, wrongDomain.Domains = nil, []string{"llm.*.example.com"}
	attach := func(in Input) error { _, err := Attach(in); return err }
	bootstrap := func(in Input) error { _, err := Bootstrap(in); return err }
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"https without root certificates": {bootstrap(noRoots), "deployment gpt-1 is asked over https, but no file with root certificates"},
		"one cluster name for two":        {bootstrap(input(https, https)), `two deployments have the cluster name "c"`},
		"a cluster with the service's name": {bootstrap(input(Upstream{Cluster: ProcessorCluster, Deployment: "d", URL: https.URL})),
			`cluster name "isthmus"`},
		"a cluster with the name of no group": {bootstrap(input(Upstream{Cluster: names.EndCluster, Deployment: "d", URL: https.URL})),
			`cluster name "isthmus-end"`},
		"a URL without a host":       {bootstrap(input(Upstream{Cluster: "c", Deployment: "d", URL: "v1"})), "deployment d: its api_base"},
		"parts without a domain":     {attach(noDomain), "say the host name that leads to isthmus"},
		"parts for no domain":        {attach(wrongDomain), `domain "llm.*.example.com"`},
		"a mesh without a namespace": {istioError(input(https), IstioOptions{Selector: map[string]string{"a": "b"}}), "no namespace"},
		"a mesh without a selector":  {istioError(input(https), IstioOptions{Namespace: "edge"}), "no selector"},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("%s: %v; want …%s…", name, tc.err, tc.want)
		}
	}
}

func istioError(in Input, o IstioOptions) error {
	_, err := Istio(in, o)
	return err
}

func TestTheSameInputGivesTheSameText(t *testing.T) {
	in := input(Upstream{Cluster: "c", Deployment: "d", URL: "https://api.openai.com/v1"})
	var first string
	for range 20 {
		boot, err := Bootstrap(in)
		if err != nil {
			t.Fatal(err)
		}
		text, err := YAML(boot)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(text)
		}
		if string(text) != first {
			t.Fatal("two texts for one input")
		}
	}
}
