package envoy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenCase is a file of testdata/in. Its outputs are testdata/out/<case>/<version>.yaml.
type goldenCase struct {
	About  string `yaml:"about"`
	Format string `yaml:"format"` // bootstrap, filters or istio

	Listen    string `yaml:"listen"`
	Admin     string `yaml:"admin"`
	Processor string `yaml:"processor"`
	Domains   []string
	Upstreams []struct {
		Cluster, Deployment, URL string
		Timeout                  time.Duration
		StreamCluster            string        `yaml:"stream_cluster"`
		StreamTimeout            time.Duration `yaml:"stream_timeout"`
	}
	Orders []struct {
		Name     string
		Clusters []string
	}
	MaxBody      uint64          `yaml:"max_body"`
	IdleTimeouts []time.Duration `yaml:"idle_timeouts"`
	QueueTimeout time.Duration   `yaml:"queue_timeout"`
	AccessLog    string          `yaml:"access_log"`

	Istio struct {
		Gateway string
		Port    uint32
	}
}

func (c *goldenCase) input(t *testing.T, v envoy.Version) envoy.Input {
	t.Helper()
	in := envoy.Input{
		Version: v, Domains: c.Domains, MaxBody: c.MaxBody, IdleTimeouts: c.IdleTimeouts, QueueTimeout: c.QueueTimeout,
		AccessLog: c.AccessLog, CABundle: "/etc/ssl/certs/ca-certificates.crt",
	}
	for _, u := range c.Upstreams {
		in.Upstreams = append(in.Upstreams, envoy.Upstream(u))
	}
	for _, o := range c.Orders {
		in.Orders = append(in.Orders, envoy.Order(o))
	}
	for text, into := range map[string]*envoy.Address{c.Listen: &in.Listen, c.Admin: &in.Admin} {
		if text == "" {
			continue
		}
		var err error
		if *into, err = envoy.ParseAddress(text); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if in.Processors, err = envoy.ParseTargets(c.Processor); err != nil {
		t.Fatal(err)
	}
	return in
}

// write makes the output of a version and the whole configuration that an Envoy
// of that version must take.
func (c *goldenCase) write(t *testing.T, v envoy.Version) (out, whole []byte) {
	t.Helper()
	in := c.input(t, v)
	switch c.Format {
	case "bootstrap":
		boot, err := envoy.Bootstrap(in)
		if err != nil {
			t.Fatal(err)
		}
		out = envoytest.YAML(t, boot)
		return out, out
	case "filters":
		a, err := envoy.Attach(in)
		if err != nil {
			t.Fatal(err)
		}
		if out, err = a.YAML(); err != nil {
			t.Fatal(err)
		}
		host := envoytest.Gateway(t)
		envoytest.Paste(t, host, out)
		return out, envoytest.YAML(t, host)
	case "istio":
		istio := envoy.IstioVersion(v - 8)
		var err error
		out, err = envoy.Istio(in, envoy.IstioOptions{
			Version: istio, Namespace: "edge", Selector: map[string]string{"istio": "ingressgateway"}, Gateway: c.Istio.Gateway, Port: c.Istio.Port,
		})
		if err != nil {
			t.Fatal(err)
		}
		host := envoytest.Gateway(t)
		envoytest.KnowServices(t, host, out)
		envoytest.ApplyIstio(t, host, out, istio.String()+".0")
		return out, envoytest.YAML(t, host)
	}
	t.Fatalf("format %q", c.Format)
	return nil, nil
}

// versions are the Envoys that a case is written for: Istio has no 1.40 yet.
func (c *goldenCase) versions() []envoy.Version {
	newest := envoy.Newest
	if c.Format == "istio" {
		newest = envoy.NewestIstio.Envoy()
	}
	var out []envoy.Version
	for v := envoy.Oldest; v <= newest; v++ {
		out = append(out, v)
	}
	return out
}

func goldenCases(t *testing.T) map[string]*goldenCase {
	t.Helper()
	paths, err := filepath.Glob("testdata/in/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	cases := map[string]*goldenCase{}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		c := &goldenCase{}
		d := yaml.NewDecoder(f)
		d.KnownFields(true)
		if err := d.Decode(c); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		cases[strings.TrimSuffix(filepath.Base(path), ".yaml")] = c
	}
	return cases
}

func TestGoldenConfigurationsAreAsTheyWereAndRealEnvoysTakeThem(t *testing.T) {
	claimed := map[string]bool{}
	for name, c := range goldenCases(t) {
		for _, v := range c.versions() {
			path := filepath.Join("testdata/out", name, v.String()+".yaml")
			claimed[path] = true
			t.Run(name+"/"+v.String(), func(t *testing.T) {
				out, whole := c.write(t, v)
				golden(t, path, out)
				envoytest.Validate(t, envoytest.Release(t, v), whole)
			})
		}
	}
	unclaimed(t, claimed)
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with `make golden`", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); if it is meant, `make golden`:\n%s", path, diff)
	}
}

// unclaimed finds outputs that no case makes any more.
func unclaimed(t *testing.T, claimed map[string]bool) {
	t.Helper()
	paths, err := filepath.Glob("testdata/out/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		switch {
		case claimed[path]:
		case *update:
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(filepath.Dir(path)) // when it is empty
		default:
			t.Errorf("no case of testdata/in makes %s", path)
		}
	}
}
