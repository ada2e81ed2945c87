package envoy_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// authority is what the HTTP/2 server of an Envoy between takes for one: no "|", which
// Istio's names of clusters have.
var authority = regexp.MustCompile(`^[a-z0-9._-]+$`)

// services visits each part of a configuration that Envoy calls by gRPC.
func services(place string, part any, visit func(place string, service map[string]any)) {
	switch part := part.(type) {
	case map[string]any:
		for name, value := range part {
			at := place + "." + name
			if service, ok := value.(map[string]any); ok && (name == "envoy_grpc" || name == "grpc_health_check") {
				visit(at, service)
			}
			services(at, value, visit)
		}
	case []any:
		for i, value := range part {
			services(fmt.Sprintf("%s[%d]", place, i), value, visit)
		}
	}
}

func TestEveryCallOfTheServiceHasAnAuthorityThatEnvoysTake(t *testing.T) {
	for name, c := range goldenCases(t) {
		for _, v := range c.versions() {
			out, _ := c.write(t, v)
			calls := 0
			for _, doc := range envoytest.Documents(t, out) {
				services("", doc, func(place string, service map[string]any) {
					calls++
					if got, _ := service["authority"].(string); !authority.MatchString(got) {
						t.Errorf("%s/%s%s: authority %q", name, v, place, got)
					}
				})
			}
			if calls == 0 {
				t.Errorf("%s/%s calls nobody", name, v)
			}
		}
	}
}

func TestTheAuthorityIsTheServicesName(t *testing.T) {
	for processors, want := range map[string]string{
		"isthmus.llm.svc:9100":                   "isthmus.llm.svc",
		"Isthmus.LLM.svc.:9100":                  "isthmus.llm.svc",
		"one.llm.svc:9100,one.llm.svc:9101":      "one.llm.svc",
		"one.llm.svc:9100,two.llm.svc:9100":      "isthmus",
		"10.0.0.5:9100,10.0.0.6:9100":            "isthmus",
		"[2001:db8::7]:9100":                     "isthmus",
		"unix:///run/isthmus.sock":               "isthmus",
		"10.0.0.5:9100,isthmus-replicas.svc:910": "isthmus",
	} {
		in := envoy.Input{Listen: envoy.Address{Host: "127.0.0.1"}, Dynamic: true, AccessLog: "/dev/null"}
		var err error
		if in.Processors, err = envoy.ParseTargets(processors); err != nil {
			t.Fatal(err)
		}
		boot, err := envoy.Bootstrap(in)
		if err != nil {
			t.Fatal(err)
		}
		services("", envoytest.Documents(t, envoytest.YAML(t, boot))[0], func(place string, service map[string]any) {
			if service["authority"] != want {
				t.Errorf("%s%s: authority %q, want %q", processors, place, service["authority"], want)
			}
		})
	}
}
