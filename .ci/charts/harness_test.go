package charts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/engine"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const (
	repository = "../.."
	chartDir   = repository + "/examples/helm/isthmus"
)

// object is a resource. Its Object is that of its type, *appsv1.Deployment for one.
type object struct {
	metav1.Object
	kind string
}

func (o object) String() string {
	return fmt.Sprintf("%s %s/%s", o.kind, o.GetNamespace(), o.GetName())
}

// types are the kinds that the chart and the examples have. A resource of another kind fails.
var types = sync.OnceValues(func() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, corev1.AddToScheme, netv1.AddToScheme, policyv1.AddToScheme,
		networkingv1.AddToScheme, networkingv1alpha3.AddToScheme, securityv1.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	return s, nil
})

// decode reads the documents of a YAML text as Kubernetes and Istio do. Kinds and fields that they do not know are errors.
func decode(text []byte) (all []object, err error) {
	scheme, err := types()
	if err != nil {
		return nil, err
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		fields, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, document)
		}
		if string(fields) == "null" { // comments alone
			continue
		}
		decoded, kind, err := strict.Decode(fields, nil, nil)
		if err == nil {
			err = decodeSpec(decoded, fields)
		}
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, document)
		}
		all = append(all, object{Object: decoded.(metav1.Object), kind: kind.Kind})
	}
}

// decodeSpec decodes the spec of a resource of Istio once more: the reader that its type brings passes over unknown fields.
func decodeSpec(decoded runtime.Object, fields []byte) error {
	spec := reflect.ValueOf(decoded).Elem().FieldByName("Spec")
	if !spec.IsValid() {
		return nil
	}
	message, ok := spec.Addr().Interface().(proto.Message)
	if !ok {
		return nil
	}
	var parts struct{ Spec json.RawMessage }
	if err := json.Unmarshal(fields, &parts); err != nil {
		return err
	}
	return protojson.Unmarshal(parts.Spec, message)
}

// the namespace and the name of the releases here.
const namespace, release = "llm", "isthmus"

// render renders the chart with these values, YAML. files are values that are texts of files, as --set-file gives them.
func render(values string, files map[string]string) (map[string]string, error) {
	c, err := loader.Load(chartDir)
	if err != nil {
		return nil, err
	}
	given, err := common.ReadValues([]byte(values))
	if err != nil {
		return nil, err
	}
	for name, text := range files {
		given[name] = text
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, given, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// objectsOf are the resources of a rendered chart, in no order.
func objectsOf(t *testing.T, rendered map[string]string) []object {
	t.Helper()
	var all []object
	for name, text := range rendered {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		objects, err := decode([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all = append(all, objects...)
	}
	return all
}

// find returns the resource of this type and name, and fails when there is none.
func find[T metav1.Object](t *testing.T, all []object, name string) T {
	t.Helper()
	for _, o := range all {
		if typed, ok := o.Object.(T); ok && o.GetName() == name {
			return typed
		}
	}
	var none T
	t.Fatalf("there is no %T %s in %v", none, name, all)
	return none
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// isthmus is the path of the binary, built once: as the Dockerfile builds it for this machine.
func isthmus(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs isthmus to its end and returns what it wrote.
func run(t *testing.T, environment []string, args ...string) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), isthmus(t), args...)
	c.Env = environment
	out, err := c.CombinedOutput()
	return string(out), err
}

// write writes a file of a folder of the test, which everybody may read.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
