package charts

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/loader"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"

	"helm.sh/helm/v4/pkg/chart/common"
)

// modelConfig is a config with keys, as people have it: with a comment, a date and a number above a million.
const modelConfig = `# The team's models.
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/my-deployment
      api_key: os.environ/AZURE_OPENAI_KEY
      api_base: https://my-resource.openai.azure.com
      api_version: 2024-10-21
      tpm: 30000000

general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
router_settings:
  redis_url: os.environ/REDIS_URL
`

// installation is a way in which people install the chart.
type installation struct {
	name, values string
	files        map[string]string // values that --set-file gives
	elsewhere    []string          // Secrets and service accounts that are there already
}

func installations(t *testing.T) []installation {
	t.Helper()
	filters := read(t, repository+"/examples/istio/envoyfilter.yaml")
	keys := "keys: {existingSecret: isthmus-keys}\n"
	return []installation{
		{name: "as it comes"},
		{"standalone with its own keys and Redis", `
keys: {values: {AZURE_OPENAI_KEY: key, LITELLM_MASTER_KEY: sk-1}}
redis: {url: "redis://redis:6379/0"}
service: {type: LoadBalancer, port: 8080, annotations: {example.com/internal: "true"}}
networkPolicy: {clients: [{namespaceSelector: {matchLabels: {team: chat}}}], monitoring: []}
autoscaling: {enabled: true, requestsInFlight: 0, cpuPercent: 70}
reload: false
`, map[string]string{"config": modelConfig}, nil},
		{"standalone with all that a pod can have", keys + `
fullnameOverride: gateway
image: {repository: example.com/isthmus, digest: "sha256:` + strings.Repeat("0", 64) + `", pullPolicy: Always}
imagePullSecrets: [{name: registry}]
replicas: 5
concurrency: 4
drain: {preStopSeconds: 10, graceSeconds: 20, timeoutSeconds: 600}
podDisruptionBudget: {maxUnavailable: 25%}
podMonitor: {enabled: true, labels: {release: prometheus}}
serviceAccount: {create: false, name: shared}
topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname, maxSkew: 2, whenUnsatisfiable: DoNotSchedule}]
nodeSelector: {kubernetes.io/arch: arm64}
tolerations: [{key: dedicated, operator: Exists}]
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: other}}}]
priorityClassName: high
podAnnotations: {team: chat}
podLabels: {team: chat}
extraEnv: [{name: SSL_CERT_FILE, value: /ca/ca.pem}]
extraArgs: [--allow-unenforced, max_budget]
extraVolumes: [{name: ca, configMap: {name: isthmus-ca}}]
extraVolumeMounts: [{name: ca, mountPath: /ca}]
manifests: [{apiVersion: v1, kind: ConfigMap, metadata: {name: isthmus-ca, namespace: llm}, data: {ca.pem: ""}}]
`, nil, []string{"isthmus-keys", "shared"}},
		{"no topology spread, no limits of who comes, no account", `
topologySpreadConstraints: []
networkPolicy: {enabled: false}
serviceAccount: {create: false}
podDisruptionBudget: {enabled: false}
podAnnotations: null
`, nil, nil},
		{"istio, with what isthmus envoy wrote", keys + `
gateway: istio
podMonitor: {enabled: true}
autoscaling: {enabled: true}
`, map[string]string{"config": modelConfig, "manifests": filters}, []string{"isthmus-keys"}},
		{"istio, another gateway, a shared secret besides", keys + `
gateway: istio
networkPolicy: {gateway: {namespace: edge, labels: {gateway.networking.k8s.io/gateway-name: edge}}}
sharedSecret: {existingSecret: isthmus-secret, key: current}
`, nil, []string{"isthmus-keys", "isthmus-secret"}},
		{"istio without a sidecar, with certificates", `
gateway: istio
istio: {sidecar: false}
tls: {existingSecret: isthmus-tls}
`, nil, []string{"isthmus-tls"}},
		{"envoy gateway", "gateway: envoyGateway\n", nil, nil},
		{"envoy gateway with a certificate for the port and a secret", `
gateway: envoyGateway
sharedSecret: {value: s3cret}
tls: {existingSecret: isthmus-tls, clientCA: false}
`, nil, []string{"isthmus-tls"}},
		{"an Envoy of one's own", "gateway: envoy\nnetworkPolicy: {gateway: {labels: {app: edge}}}\n", nil, nil},
		{"an Envoy of one's own, by a secret alone", `
gateway: envoy
networkPolicy: {enabled: false}
sharedSecret: {value: s3cret}
`, nil, nil},
	}
}

func TestEveryInstallationIsWhole(t *testing.T) {
	for _, in := range installations(t) {
		t.Run(in.name, func(t *testing.T) {
			var log strings.Builder
			before := slog.Default()
			slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
			defer slog.SetDefault(before)
			rendered, err := render(in.values, in.files)
			if err != nil {
				t.Fatal(err)
			}
			if log.Len() > 0 {
				t.Errorf("Helm says: %s", &log)
			}
			examine(t, objectsOf(t, rendered), in.elsewhere...)
			if notes := rendered["isthmus/templates/NOTES.txt"]; strings.TrimSpace(notes) == "" || strings.Contains(notes, "<no value>") {
				t.Errorf("the notes are %q", notes)
			}
		})
	}
}

func TestTheLinterHasNothingToSay(t *testing.T) {
	for _, in := range installations(t) {
		values, err := common.ReadValues([]byte(in.values))
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range in.files {
			values[name] = text
		}
		for _, m := range lint.RunAll(chartDir, values, namespace).Messages {
			if m.Severity > support.InfoSev || !strings.Contains(m.Error(), "icon is recommended") {
				t.Errorf("%s: %s", in.name, m)
			}
		}
	}
}

// TestRefusedValuesAreNamed holds the messages to what somebody needs who made that mistake.
func TestRefusedValuesAreNamed(t *testing.T) {
	for _, tc := range []struct{ name, values, want string }{
		{"a name that is misspelt", "replicaCount: 3", "additional properties 'replicaCount' not allowed"},
		{"one below another", "networkPolicy: {gateways: {}}", "at '/networkPolicy': additional properties 'gateways' not allowed"},
		{"another gateway", "gateway: nginx", "at '/gateway': value must be one of 'standalone', 'istio', 'envoyGateway', 'envoy'"},
		{"a number as text", "replicas: two", "at '/replicas': got string, want integer"},
		{"a yes as text", `reload: "true"`, "at '/reload': got string, want boolean"},
		{"the name of a file instead of its text", "config: config.yaml", "--set-file config=FILE"},
		{"an Envoy's configuration as manifests", `{manifests: "static_resources: {}"}`, "--set-file manifests=FILE"},
		{"a key that is no text", "keys: {values: {OPENAI_API_KEY: 1}}", "at '/keys/values/OPENAI_API_KEY': got number, want string"},
		{"a key that is no variable", "keys: {values: {openai-key: a}}", "openai-key"},
		{"a Redis without a scheme", "redis: {url: redis.example.com}", "at '/redis/url': 'redis.example.com' does not match pattern"},
		{"a Redis that nobody uses", `redis: {url: "redis://redis"}`, "redis_url: os.environ/REDIS_URL"},
		{"a digest that is none", "image: {digest: latest}", "at '/image/digest'"},
		{"a grace longer than the drain", "drain: {graceSeconds: 60}", "drain.graceSeconds is a part of drain.timeoutSeconds"},
		{"no time to leave the Services", "drain: {preStopSeconds: 0}", "at '/drain/preStopSeconds': minimum: got 0, want 1"},
		{"an autoscaler without a metric", "autoscaling: {enabled: true, requestsInFlight: 0}", "say requestsInFlight or cpuPercent"},
		{"fewest above most", "autoscaling: {enabled: true, minReplicas: 20}", "autoscaling.minReplicas is more than"},
		{"two shared secrets", "gateway: envoy\nsharedSecret: {existingSecret: a, value: b}", "say existingSecret or value, not both"},
		{"a secret for a port that is not there", "sharedSecret: {value: b}", "gateway: standalone does not have"},
		{"TLS behind a sidecar", "gateway: istio\ntls: {existingSecret: a}", "istio.sidecar: false"},
		{"a port for everybody", "gateway: istio\nnetworkPolicy: {enabled: false}", "who reaches the port 9100 gets the providers' keys"},
		{"a port for everybody, encrypted", "gateway: envoyGateway\nnetworkPolicy: {enabled: false}\ntls: {existingSecret: a, clientCA: false}",
			"set sharedSecret, or tls with clientCA"},
		{"an Envoy that is nowhere", "gateway: envoy", "networkPolicy.gateway: say the namespace and labels of your Envoy's pods"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := render(tc.values, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v\nwant one with %q", err, tc.want)
			}
		})
	}
}

func TestTheConfigArrivesAsItIs(t *testing.T) {
	for name, text := range map[string]string{
		"a file": modelConfig, "one that begins with spaces and ends with some": "\n  \n# A\nmodel_list: []\n  \n \n",
		"one with templates in it": "model_list: [{model_name: '{{ .Values }}'}] # {{",
	} {
		t.Run(name, func(t *testing.T) {
			rendered, err := render("", map[string]string{"config": text})
			if err != nil {
				t.Fatal(err)
			}
			if got := find[*corev1.ConfigMap](t, objectsOf(t, rendered), "isthmus").Data["config.yaml"]; got != text {
				t.Errorf("config.yaml is %q, want %q", got, text)
			}
		})
	}
}

// TestEveryConfigPassesTheCheck asks isthmus, with the variables that the config names.
func TestEveryConfigPassesTheCheck(t *testing.T) {
	keys := []string{"AZURE_OPENAI_KEY=key", "LITELLM_MASTER_KEY=sk-1", "REDIS_URL=redis://127.0.0.1:1"}
	for name, values := range map[string]string{"as it comes": "", "a map": "config:\n  " + strings.ReplaceAll(modelConfig, "\n", "\n  ")} {
		t.Run(name, func(t *testing.T) {
			rendered, err := render(values, nil)
			if err != nil {
				t.Fatal(err)
			}
			config := find[*corev1.ConfigMap](t, objectsOf(t, rendered), "isthmus").Data["config.yaml"]
			out, err := run(t, keys, "check", "--config", write(t, "config.yaml", config))
			if err != nil || strings.Contains(out, "warning") {
				t.Errorf("%v: %s of\n%s", err, out, config)
			}
		})
	}
}

func TestAChangedConfigRollsPodsOnlyWhereItIsNotReloaded(t *testing.T) {
	pod := func(values, config string) string {
		rendered, err := render(values, map[string]string{"config": config})
		if err != nil {
			t.Fatal(err)
		}
		d := find[*appsv1.Deployment](t, objectsOf(t, rendered), "isthmus")
		return fmt.Sprint(d.Spec.Template.Annotations, container(t, d, "isthmus").Args)
	}
	const one, other = "model_list: []", "model_list: [] # changed"
	if got := pod("", one); got != pod("", other) || !strings.Contains(got, "--watch=true") {
		t.Errorf("a changed config changes the pods, or they do not look at it: %s", got)
	}
	if got := pod("reload: false", one); got == pod("reload: false", other) || !strings.Contains(got, "--watch=false") {
		t.Errorf("a changed config does not change the pods: %s", got)
	}
	if pod("keys: {values: {A: b}}", one) == pod("keys: {values: {A: c}}", one) {
		t.Error("changed keys do not change the pods, which have them in their environment")
	}
}

func TestThePortIsOpenOnlyToThoseWhoMayHaveTheKeys(t *testing.T) {
	for _, tc := range []struct{ values, insecure, from string }{
		{"gateway: istio", "yes", "istio-ingress istio=ingress"},
		{"gateway: envoyGateway", "yes", "envoy-gateway-system app.kubernetes.io/component=proxy,app.kubernetes.io/managed-by=envoy-gateway"},
		{"gateway: envoy\nnetworkPolicy: {gateway: {namespace: edge}}", "yes", "edge "},
		{"gateway: envoy\nnetworkPolicy: {gateway: {labels: {app: edge}}}\nsharedSecret: {value: a}", "no", " app=edge"},
	} {
		t.Run(tc.values, func(t *testing.T) {
			rendered, err := render(tc.values, nil)
			if err != nil {
				t.Fatal(err)
			}
			all := objectsOf(t, rendered)
			args := strings.Join(container(t, find[*appsv1.Deployment](t, all, "isthmus"), "isthmus").Args, " ")
			if strings.Contains(args, "--insecure-listen") != (tc.insecure == "yes") {
				t.Errorf("isthmus %s", args)
			}
			for _, rule := range find[*netv1.NetworkPolicy](t, all, "isthmus").Spec.Ingress {
				if rule.Ports[0].Port.IntValue() != 9100 {
					continue
				}
				if len(rule.From) != 2 { // the gateway, and these pods for each other
					t.Errorf("port 9100 is open to %v", rule.From)
				}
				var from string
				if s := rule.From[0].NamespaceSelector; s != nil {
					from = s.MatchLabels["kubernetes.io/metadata.name"]
				}
				from += " "
				if s := rule.From[0].PodSelector; s != nil {
					from += labelsOf(s.MatchLabels)
				}
				if from != tc.from {
					t.Errorf("port 9100 is open to %q, want %q", from, tc.from)
				}
			}
		})
	}
}

func TestPodsOfAMeshReachEachOther(t *testing.T) {
	rendered, err := render("gateway: istio\ndrain: {timeoutSeconds: 600}", nil)
	if err != nil {
		t.Fatal(err)
	}
	all := objectsOf(t, rendered)
	if mode := find[*securityv1.PeerAuthentication](t, all, "isthmus").Spec.PortLevelMtls[9100].GetMode().String(); mode != "PERMISSIVE" {
		t.Errorf("mode %s", mode)
	}
	pod := find[*appsv1.Deployment](t, all, "isthmus").Spec.Template
	if want := `"terminationDrainDuration":"625s"`; !strings.Contains(pod.Annotations["proxy.istio.io/config"], want) {
		t.Errorf("the sidecar's config %q has no %s", pod.Annotations["proxy.istio.io/config"], want)
	}
	if pod.Labels["sidecar.istio.io/inject"] != "true" {
		t.Errorf("labels %v", pod.Labels)
	}
}

func TestPodsAreCountedByTheirRequests(t *testing.T) {
	rendered, err := render("autoscaling: {enabled: true, cpuPercent: 80}", nil)
	if err != nil {
		t.Fatal(err)
	}
	metrics := find[*autoscalingv2.HorizontalPodAutoscaler](t, objectsOf(t, rendered), "isthmus").Spec.Metrics
	if len(metrics) != 2 || metrics[0].Pods.Target.AverageValue.Value() != 100 ||
		*metrics[1].ContainerResource.Target.AverageUtilization != 80 {
		t.Errorf("metrics %v", metrics)
	}
}

func TestAReleaseOfAnotherNameHasItsOwnResources(t *testing.T) {
	rendered, err := render("fullnameOverride: other", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objectsOf(t, rendered) {
		if !strings.HasPrefix(o.GetName(), "other") || o.GetNamespace() != namespace {
			t.Errorf("%s", o)
		}
	}
}

func TestKubernetesThatLacksTheSleepOfPreStopIsRefused(t *testing.T) {
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	constraint := c.(*chartv2.Chart).Metadata.KubeVersion
	for version, want := range map[string]bool{"v1.29.9": false, "v1.30.0": true, "v1.33.4-gke.1": true} {
		if got := chartutil.IsCompatibleRange(constraint, version); got != want {
			t.Errorf("%s: %t", version, got)
		}
	}
}
