package charts

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// TestTheHelmCommandsOfTheDocumentsInstallSomethingWhole renders the chart as each `helm upgrade --install` of the documents says.
func TestTheHelmCommandsOfTheDocumentsInstallSomethingWhole(t *testing.T) {
	block, install := regexp.MustCompile("(?s)```sh\n(.*?)```"), "helm upgrade --install isthmus examples/helm/isthmus "
	found := 0
	for _, path := range []string{repository + "/docs/install.md", chartDir + "/README.md"} {
		for _, m := range block.FindAllStringSubmatch(read(t, path), -1) {
			for line := range strings.Lines(strings.ReplaceAll(m[1], "\\\n", " ")) {
				if arguments, ok := strings.CutPrefix(line, install); ok {
					found++
					t.Run(line, func(t *testing.T) { installs(t, strings.Fields(arguments)) })
				}
			}
		}
	}
	if found < 4 {
		t.Errorf("%d commands were found", found)
	}
}

func installs(t *testing.T, arguments []string) {
	t.Helper()
	values, files := map[string]any{}, map[string]string{}
	for i := 0; i < len(arguments); i++ {
		switch arguments[i] {
		case "--create-namespace":
			continue
		case "--namespace":
			if arguments[i+1] != namespace {
				t.Errorf("namespace %s", arguments[i+1])
			}
		case "--set":
			if err := strvals.ParseInto(arguments[i+1], values); err != nil {
				t.Fatal(err)
			}
		case "--set-file":
			name, _, _ := strings.Cut(arguments[i+1], "=")
			files[name] = map[string]string{"config": modelConfig, "manifests": read(t, repository+"/examples/istio/envoyfilter.yaml")}[name]
		default:
			t.Fatalf("argument %s", arguments[i])
		}
		i++
	}
	text, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := render(string(text), files)
	if err != nil {
		t.Fatal(err)
	}
	examine(t, objectsOf(t, rendered), "isthmus-keys")
}

// TestTheFilesOfTheInstallPageAreThere looks at the paths that its commands name.
func TestTheFilesOfTheInstallPageAreThere(t *testing.T) {
	for _, path := range regexp.MustCompile(`examples/[\w./-]+`).FindAllString(read(t, repository+"/docs/install.md"), -1) {
		if _, err := os.Stat(filepath.Join(repository, path)); err != nil {
			t.Error(err)
		}
	}
}

// TestTheConfigOfTheInstallPageIsFine asks isthmus.
func TestTheConfigOfTheInstallPageIsFine(t *testing.T) {
	config := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(read(t, repository+"/docs/install.md"))[1]
	out, err := run(t, []string{"OPENAI_API_KEY=key", "LITELLM_MASTER_KEY=sk-1"}, "check", "--config", write(t, "config.yaml", config))
	if err != nil || strings.Contains(out, "warning") {
		t.Errorf("%v: %s", err, out)
	}
}
