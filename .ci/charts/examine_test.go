package charts

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// examination checks the resources of one installation against each other.
type examination struct {
	t   *testing.T
	all []object
	// Secrets that whoever installs it makes.
	elsewhere []string
}

// examine fails for what Kubernetes would take and what could not work all the same.
func examine(t *testing.T, all []object, elsewhere ...string) {
	t.Helper()
	e := examination{t, all, elsewhere}
	names := map[string]bool{}
	for _, o := range all {
		if names[o.String()] {
			t.Errorf("there are two %s", o)
		}
		names[o.String()] = true
		if problems := validation.IsDNS1123Subdomain(o.GetName()); problems != nil {
			t.Errorf("%s: %v", o, problems)
		}
		switch r := o.Object.(type) {
		case *appsv1.Deployment:
			e.deployment(r)
		case *corev1.Service:
			e.service(r)
		case *policyv1.PodDisruptionBudget:
			e.selected(o, r.Spec.Selector)
		case *netv1.NetworkPolicy:
			e.networkPolicy(o, r)
		case *securityv1.PeerAuthentication:
			pods := e.selected(o, &metav1.LabelSelector{MatchLabels: r.Spec.Selector.MatchLabels})
			for port := range r.Spec.PortLevelMtls {
				e.port(o, pods, intstr.FromInt32(int32(port)))
			}
		case *monitoring.PodMonitor:
			pods := e.selected(o, &r.Spec.Selector)
			for _, endpoint := range r.Spec.PodMetricsEndpoints {
				e.port(o, pods, intstr.FromString(*endpoint.Port))
			}
		case *autoscalingv2.HorizontalPodAutoscaler:
			e.autoscaler(r)
		}
	}
}

// selected returns the pods of the same namespace that a selector selects, and fails when there are none.
func (e examination) selected(o object, selector *metav1.LabelSelector) (pods []corev1.PodTemplateSpec) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || s.Empty() {
		e.t.Errorf("%s: selector %v: %v", o, selector, err)
		return nil
	}
	for _, each := range e.all {
		if d, ok := each.Object.(*appsv1.Deployment); ok && d.Namespace == o.GetNamespace() && s.Matches(labels.Set(d.Spec.Template.Labels)) {
			pods = append(pods, d.Spec.Template)
		}
	}
	if len(pods) == 0 {
		e.t.Errorf("%s selects no pods: %v", o, s)
	}
	return pods
}

// port fails when one of the pods does not have a port.
func (e examination) port(o object, pods []corev1.PodTemplateSpec, port intstr.IntOrString) {
	const istioMetrics = 15020 // of the sidecar, which Istio adds
	if port.IntVal == istioMetrics {
		return
	}
	for _, pod := range pods {
		if !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return has(c, port) }) {
			e.t.Errorf("%s: the pods have no port %s", o, port.String())
		}
	}
}

func has(c corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
		return port.Type == intstr.String && p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal
	})
}

func (e examination) service(s *corev1.Service) {
	o := object{s, "Service"}
	pods := e.selected(o, &metav1.LabelSelector{MatchLabels: s.Spec.Selector})
	for _, p := range s.Spec.Ports {
		e.port(o, pods, p.TargetPort)
		if p.Name == "grpc" && (p.AppProtocol == nil || *p.AppProtocol != "grpc") {
			e.t.Errorf("%s: Istio and Envoy Gateway speak HTTP/1.1 to port %s", o, p.Name)
		}
	}
}

// networkPolicy fails when everybody may come to the port that gives the providers' keys.
func (e examination) networkPolicy(o object, p *netv1.NetworkPolicy) {
	pods := e.selected(o, &p.Spec.PodSelector)
	for _, rule := range p.Spec.Ingress {
		if len(rule.Ports) == 0 {
			e.t.Errorf("%s opens all ports", o)
		}
		for _, port := range rule.Ports {
			e.port(o, pods, *port.Port)
			if port.Port.IntValue() == 9100 && len(rule.From) == 0 {
				e.t.Errorf("%s lets everybody come to port 9100", o)
			}
		}
		for _, peer := range rule.From {
			if peer.PodSelector == nil && peer.NamespaceSelector == nil && peer.IPBlock == nil {
				e.t.Errorf("%s has an empty peer", o)
			}
		}
	}
}

func (e examination) autoscaler(h *autoscalingv2.HorizontalPodAutoscaler) {
	target := find[*appsv1.Deployment](e.t, e.all, h.Spec.ScaleTargetRef.Name)
	if target.Spec.Replicas != nil {
		e.t.Errorf("each apply sets the %d replicas of %s back", *target.Spec.Replicas, target.Name)
	}
	for _, m := range h.Spec.Metrics {
		switch m.Type {
		case autoscalingv2.PodsMetricSourceType:
			if !strings.Contains(read(e.t, repository+"/docs/metrics.md"), "`"+m.Pods.Metric.Name+"` | gauge | ") {
				e.t.Errorf("there is no gauge %s in docs/metrics.md", m.Pods.Metric.Name)
			}
		case autoscalingv2.ContainerResourceMetricSourceType:
			c := container(e.t, target, m.ContainerResource.Container)
			if c.Resources.Requests[m.ContainerResource.Name] == (c.Resources.Limits["none"]) {
				e.t.Errorf("container %s requests no %s, of which the autoscaler takes a part", c.Name, m.ContainerResource.Name)
			}
		default:
			e.t.Errorf("metric %s", m.Type)
		}
	}
	if len(h.Spec.Metrics) == 0 {
		e.t.Error("the autoscaler has no metric")
	}
}

func container(t *testing.T, d *appsv1.Deployment, name string) corev1.Container {
	t.Helper()
	i := slices.IndexFunc(d.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("%s has no container %s", d.Name, name)
	}
	return d.Spec.Template.Spec.Containers[i]
}

func (e examination) deployment(d *appsv1.Deployment) {
	o := object{d, "Deployment"}
	if pods := e.selected(o, d.Spec.Selector); len(pods) > 1 {
		e.t.Errorf("%s takes pods of another one", o)
	}
	e.restricted(o, d.Spec.Template)
	e.mounts(o, d.Spec.Template.Spec)
	for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
		e.selected(o, c.LabelSelector)
	}
	for _, c := range d.Spec.Template.Spec.Containers {
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
			e.t.Errorf("%s: resources %v", o, c.Resources)
		}
		for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if p != nil && p.HTTPGet != nil && !has(c, p.HTTPGet.Port) {
				e.t.Errorf("%s: a probe asks port %s", o, p.HTTPGet.Port.String())
			}
		}
		if c.Name == "isthmus" {
			e.isthmus(o, d.Spec.Template.Spec, c)
		}
	}
}

// restricted asks Kubernetes' own admission, for the newest version.
func (e examination) restricted(o object, pod corev1.PodTemplateSpec) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if r := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec)); !r.Allowed {
		e.t.Errorf("%s is not what Pod Security calls restricted: %s", o, r.ForbiddenDetail())
	}
	if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
		e.t.Errorf("%s: the pods have the token of a service account", o)
	}
	for _, c := range pod.Spec.Containers {
		if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			e.t.Errorf("%s: container %s may write to its root", o, c.Name)
		}
	}
}

// mounts follows what a pod takes from elsewhere.
func (e examination) mounts(o object, pod corev1.PodSpec) {
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		switch {
		case v.ConfigMap != nil:
			e.exists(o, "ConfigMap", v.ConfigMap.Name)
		case v.Secret != nil:
			e.exists(o, "Secret", v.Secret.SecretName)
		}
	}
	for _, c := range pod.Containers {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				e.t.Errorf("%s mounts the volume %s, which it does not have", o, m.Name)
			}
		}
		for _, from := range c.EnvFrom {
			e.exists(o, "Secret", from.SecretRef.Name)
		}
		for _, v := range c.Env {
			if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
				e.exists(o, "Secret", v.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	if name := pod.ServiceAccountName; name != "" && name != "default" && !slices.Contains(e.elsewhere, name) {
		e.exists(o, "ServiceAccount", name)
	}
}

func (e examination) exists(o object, kind, name string) {
	if slices.Contains(e.elsewhere, name) {
		return
	}
	if !slices.ContainsFunc(e.all, func(each object) bool {
		return each.kind == kind && each.GetName() == name && each.GetNamespace() == o.GetNamespace()
	}) {
		e.t.Errorf("%s: there is no %s %s", o, kind, name)
	}
}

// isthmus checks the container of isthmus: its command, how it ends, its probes.
func (e examination) isthmus(o object, pod corev1.PodSpec, c corev1.Container) {
	if out, err := run(e.t, nil, append(slices.Clone(c.Args), "--help")...); err != nil {
		e.t.Errorf("%s: isthmus %s: %s", o, strings.Join(c.Args, " "), out)
	}
	for _, variable := range regexp.MustCompile(`\$\((\w+)\)`).FindAllStringSubmatch(strings.Join(c.Args, " "), -1) {
		i := slices.IndexFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == variable[1] })
		if i < 0 || variable[1] != "POD_IP" || c.Env[i].ValueFrom.FieldRef.FieldPath != "status.podIP" {
			e.t.Errorf("%s: an argument takes the variable %s, which is not the address of the pod", o, variable[1])
		}
	}
	if c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil || c.Lifecycle == nil {
		e.t.Errorf("%s: a probe or preStop is missing", o)
		return
	}
	sleep := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	needs := sleep + duration(e.t, c.Args, "--drain-timeout") + lastStep(e.t)
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; sleep == 0 || grace <= needs {
		e.t.Errorf("%s: the pod has %s to end and may need %s", o, grace, needs)
	}
	if grace, timeout := duration(e.t, c.Args, "--drain-grace"), duration(e.t, c.Args, "--drain-timeout"); grace > timeout {
		e.t.Errorf("%s: --drain-grace %s is longer than --drain-timeout %s", o, grace, timeout)
	}
	if i := slices.Index(c.Args, "--peers"); i >= 0 {
		e.peers(o, c.Args[i+1])
	}
}

// peers fails when the name of the replicas is none of a headless Service.
func (e examination) peers(o object, address string) {
	parts := strings.SplitN(address, ".", 3)
	s := find[*corev1.Service](e.t, e.all, parts[0])
	if s.Namespace != parts[1] || s.Spec.ClusterIP != "None" || !strings.HasSuffix(address, ":"+strconv.Itoa(int(s.Spec.Ports[0].Port))) {
		e.t.Errorf("%s: --peers %s is not the headless Service %s/%s", o, address, s.Namespace, s.Name)
	}
}

// duration is the value of a flag.
func duration(t *testing.T, args []string, flag string) time.Duration {
	t.Helper()
	i := slices.Index(args, flag)
	if i < 0 {
		t.Fatalf("%v has no %s", args, flag)
	}
	d, err := time.ParseDuration(args[i+1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// lastStep is how long isthmus may take after the drain, as its code says.
func lastStep(t *testing.T) (sum time.Duration) {
	t.Helper()
	code := read(t, repository+"/cmd/cli/drain.go") + read(t, repository+"/cmd/cli/service.go") + read(t, repository+"/cmd/cli/handover.go")
	for _, name := range []string{"settleTime", "flushTime"} {
		m := regexp.MustCompile(`(?m)^\s*(?:const )?` + name + `\s+= (\d+) \* time\.Second`).FindStringSubmatch(code)
		if m == nil {
			t.Fatalf("cmd/cli has no constant %s", name)
		}
		seconds, _ := strconv.Atoi(m[1])
		sum += time.Duration(seconds) * time.Second
	}
	return sum
}

// labelsOf writes labels as kubectl does.
func labelsOf(m map[string]string) string { return labels.Set(m).String() }
