package cli

import (
	"bytes"
	"flag"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// resource is what the tests read of a Kubernetes resource.
type resource struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Spec struct {
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Containers []container
				Grace      int `yaml:"terminationGracePeriodSeconds"` // seconds
			}
		}
		Ports []struct {
			Name       string
			TargetPort any `yaml:"targetPort"`
		}
		Selector any
	}
}

type container struct {
	Name      string
	Args      []string
	Readiness map[string]any `yaml:"readinessProbe"`
	Lifecycle struct {
		PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
	}
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
}

// kustomization is the list of an example's files.
type kustomization struct {
	Resources          []string
	ConfigMapGenerator []struct {
		Name  string
		Files []string
	} `yaml:"configMapGenerator"`
	Images []struct{ Name string }
}

// manifests are the resources of an example, checked for what every one has.
func manifests(t *testing.T, dir string, k kustomization) []resource {
	t.Helper()
	var out []resource
	for _, file := range k.Resources {
		for _, doc := range envoytest.Documents(t, []byte(read(t, filepath.Join(dir, file)))) {
			text, err := yaml.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			var o resource
			if err := yaml.Unmarshal(text, &o); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if o.APIVersion == "" || o.Kind == "" || o.Metadata.Name == "" {
				t.Errorf("%s: a document lacks apiVersion, kind or name: %s", file, text)
			}
			out = append(out, o)
		}
	}
	return out
}

func TestTheManifestsOfTheExamplesFitTogether(t *testing.T) {
	for _, path := range exampleFiles(t, "*/kustomization.yaml") {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var k kustomization
			if err := yaml.Unmarshal([]byte(read(t, path)), &k); err != nil {
				t.Fatal(err)
			}
			for _, g := range k.ConfigMapGenerator {
				for _, file := range g.Files {
					if !exists(filepath.Join(dir, file)) {
						t.Errorf("config map %s: there is no %s", g.Name, file)
					}
				}
			}
			all := manifests(t, dir, k)
			pods := map[string]container{}
			for _, o := range all {
				if o.Kind != "Deployment" {
					continue
				}
				for _, c := range o.Spec.Template.Spec.Containers {
					pods[o.Spec.Template.Metadata.Labels["app"]] = c
					if c.Name == "isthmus" {
						knownCommand(t, path, strings.Join(c.Args, " "))
						drains(t, c, o.Spec.Template.Spec.Grace)
					}
				}
			}
			services := 0
			for _, o := range all {
				if o.Kind == "Service" {
					services++
					leads(t, o, pods)
				}
			}
			if len(pods) == 0 || services == 0 {
				t.Errorf("%d deployments and %d services", len(pods), services)
			}
		})
	}
}

// drains fails when a pod is killed before isthmus has ended by itself, or does not
// leave its Service first.
func drains(t *testing.T, c container, grace int) {
	t.Helper()
	var f drainFlags
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	f.add(flags, 0)
	if i := slices.Index(c.Args, "--drain-grace"); i < 0 || flags.Parse(c.Args[i:]) != nil || f.grace == 0 {
		t.Errorf("%v does not end with the times of the drain", c.Args)
	}
	sleep := c.Lifecycle.PreStop.Sleep.Seconds
	if sleep == 0 || c.Readiness == nil {
		t.Errorf("preStop sleeps %d s, readiness is %v", sleep, c.Readiness)
	}
	if needs := time.Duration(sleep)*time.Second + f.timeout + settleTime + flushTime; time.Duration(grace)*time.Second < needs {
		t.Errorf("the pod has %d s to end and may need %s", grace, needs)
	}
}

// leads fails when a Service's ports are none of its pods'.
func leads(t *testing.T, service resource, pods map[string]container) {
	t.Helper()
	selector, _ := service.Spec.Selector.(map[string]any)
	app, _ := selector["app"].(string)
	c, ok := pods[app]
	if !ok {
		t.Errorf("service %s selects no pods: %v", service.Metadata.Name, service.Spec.Selector)
		return
	}
	for _, p := range service.Spec.Ports {
		found := false
		for _, have := range c.Ports {
			found = found || have.Name == p.TargetPort
		}
		if !found {
			t.Errorf("service %s: port %s leads to %v, which container %s does not have", service.Metadata.Name, p.Name, p.TargetPort, c.Name)
		}
	}
}

// TestTheArgumentsOfTheChartAreFlags looks at the names alone; `make charts` renders the
// chart and runs what comes.
func TestTheArgumentsOfTheChartAreFlags(t *testing.T) {
	template := exampleFiles(t, "helm/isthmus/templates/_helpers.tpl")[0]
	_, serve, found := strings.Cut(read(t, template), `list "serve"`)
	flags := regexp.MustCompile(`"--([a-z-]+)`).FindAllStringSubmatch(serve, -1)
	if !found || len(flags) < 9 {
		t.Fatalf("the chart gives serve the flags %q", flags)
	}
	var help bytes.Buffer
	if code := Run(t.Context(), []string{"serve", "--help"}, &help, &help); code != 0 {
		t.Fatal(help.String())
	}
	for _, f := range flags {
		if !strings.Contains(help.String(), "\n  -"+f[1]) {
			t.Errorf("the chart gives serve the flag --%s, which it does not have", f[1])
		}
	}
}
