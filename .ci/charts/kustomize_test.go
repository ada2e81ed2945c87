package charts

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomized are the resources of an example, as `kubectl apply -k` sends them.
func kustomized(t *testing.T, example string) []object {
	t.Helper()
	all, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), repository+"/examples/"+example)
	if err != nil {
		t.Fatal(err)
	}
	text, err := all.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestEveryKustomizationIsWhole(t *testing.T) {
	for _, example := range []string{"kubernetes", "istio"} {
		t.Run(example, func(t *testing.T) { examine(t, kustomized(t, example), "isthmus-keys") })
	}
}

// TestTheKustomizationsHaveWhatTheChartHas compares the kinds of resources; what each must have is in examine.
func TestTheKustomizationsHaveWhatTheChartHas(t *testing.T) {
	for example, values := range map[string]string{
		"kubernetes": "autoscaling: {enabled: true}\nserviceAccount: {create: false}", "istio": "gateway: istio",
	} {
		rendered, err := render(values, nil)
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]bool{}
		for _, o := range kustomized(t, example) {
			kinds[o.kind] = true
		}
		for _, o := range objectsOf(t, rendered) {
			if !kinds[o.kind] {
				t.Errorf("examples/%s has no %s: %q", example, o.kind, slices.Sorted(maps.Keys(kinds)))
			}
		}
	}
}

// TestTheKustomizationsHaveTheImagesOfTheChart: `make image` tags them as the chart's appVersion says.
func TestTheKustomizationsHaveTheImagesOfTheChart(t *testing.T) {
	for example, values := range map[string]string{"kubernetes": "", "istio": "gateway: istio"} {
		rendered, err := render(values, nil)
		if err != nil {
			t.Fatal(err)
		}
		image := func(all []object) string {
			return container(t, find[*appsv1.Deployment](t, all, "isthmus"), "isthmus").Image
		}
		if have, want := image(kustomized(t, example)), image(objectsOf(t, rendered)); have != want {
			t.Errorf("examples/%s has %s, the chart %s", example, have, want)
		}
	}
}

// TestTheConfigMapsNameHasADigest holds what their READMEs say.
func TestTheConfigMapsNameHasADigest(t *testing.T) {
	for _, example := range []string{"kubernetes", "istio"} {
		for _, o := range kustomized(t, example) {
			if m, ok := o.Object.(*corev1.ConfigMap); ok && len(m.Name) <= len("isthmus-") {
				t.Errorf("examples/%s: the config map's name is %s", example, m.Name)
			}
		}
	}
}
