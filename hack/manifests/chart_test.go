package manifests_test

import (
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	strict "sigs.k8s.io/yaml"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

const chartDir = deploy + "/kubernetes/sallyport"

// valueSets are what operators may ask of the chart.
var valueSets = map[string]string{
	"plain text in a mesh": "insecure: true",
	"mutual TLS":           "tls: {secretName: sallyport-tls, allowedClients: [spiffe://example.org/envoy]}",
	"a sidecar":            "mode: Sidecar",
	"a sidecar of Istio":   "{mode: Sidecar, sidecar: {listen: '127.0.0.1:9191'}}",
	"a fixed number":       "{insecure: true, autoscaling: {enabled: false}, replicas: 3, service: {headless: true}}",
	"ambient mode":         "{insecure: true, networkPolicy: {ambient: true}}",
	"all at once": `
nameOverride: authz
image: {repository: apps/sallyport, digest: "sha256:` + strings.Repeat("0", 64) + `", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
tls: {secretName: sallyport-tls}
config:
  listen: {drain: {delay: 10s, timeout: 20s}}
  jwt: {rules: [{issuer: "https://login.example.com", audiences: [orders]}]}
terminationGracePeriodSeconds: 45
policies: {authz.rego: "package envoy.authz\n\ndefault allow := false\n", data.json: "{}"}
networkPolicy:
  monitoring: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}]
monitoring: {serviceMonitor: true, prometheusRule: true, labels: {release: prometheus}}
service: {annotations: {a: b}}
serviceAccount: {annotations: {a: b}}
env: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://collector:4317"}]
envFrom: [{secretRef: {name: opa}}]
extraVolumes: [{name: keys, configMap: {name: keys}}]
extraVolumeMounts: [{name: keys, mountPath: /etc/sallyport/keys, readOnly: true}]
podLabels: {team: platform}
podAnnotations: {a: b}
nodeSelector: {kubernetes.io/arch: amd64}
tolerations: [{key: edge, operator: Exists}]
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
priorityClassName: system-cluster-critical`,
}

// template is `helm template`.
func template(values string) (map[string]string, error) {
	chart, err := loader.Load(chartDir)
	if err != nil {
		return nil, err
	}
	given := map[string]any{}
	if err := strict.Unmarshal([]byte(values), &given); err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: "sallyport", Namespace: "sallyport", IsInstall: true, Revision: 1}
	all, err := util.ToRenderValues(chart, given, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(chart, all)
}

// render gives the resources of the chart, all of which are good ones.
func render(t *testing.T, values string) []resource {
	t.Helper()
	files, err := template(values)
	if err != nil {
		t.Fatal(err)
	}
	var out []resource
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".yaml" {
			continue
		}
		resources, err := documents(files[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, resources...)
	}
	for _, r := range out {
		for _, pod := range r.pods() {
			if err := restricted(pod); err != nil {
				t.Errorf("%s: %v", r.Kind, err)
			}
		}
	}
	return out
}

// of finds the one resource of a type, or the zero value.
func of[T any](resources []resource) (found T) {
	for _, r := range resources {
		if typed, ok := r.typed.(T); ok {
			return typed
		}
	}
	return found
}

func TestChart(t *testing.T) {
	for name, values := range valueSets {
		t.Run(name, func(t *testing.T) {
			given := map[string]any{}
			if err := strict.Unmarshal([]byte(values), &given); err != nil {
				t.Fatal(err)
			}
			for _, message := range lint.RunAll(chartDir, given, "sallyport").Messages {
				if !strings.Contains(message.Err.Error(), "icon is recommended") {
					t.Error(message)
				}
			}
			resources := render(t, values)
			for _, r := range resources {
				refusesFaults(t, r)
			}
			cfg := configuration(t, resources)
			if deployment := of[*apps.Deployment](resources); deployment != nil {
				fits(t, resources, deployment, cfg)
			} else if len(resources) != 1 {
				t.Errorf("%d resources, want the ConfigMap of a sidecar alone", len(resources))
			}
		})
	}
}

// configuration is what Sallyport makes of the chart's ConfigMap, with the files where the pod has them.
func configuration(t *testing.T, resources []resource) *config.Config {
	t.Helper()
	dir, text := t.TempDir(), ""
	for _, file := range []string{"tls.crt", "tls.key", "ca.crt"} {
		write(t, filepath.Join(dir, file), "")
	}
	for _, r := range resources {
		if typed, ok := r.typed.(*core.ConfigMap); ok && typed.Data["config.yaml"] != "" {
			text = typed.Data["config.yaml"]
		} else if ok {
			for name, content := range typed.Data {
				write(t, filepath.Join(dir, name), content)
			}
		}
	}
	text = strings.NewReplacer("/etc/sallyport/tls", dir, "/etc/sallyport/policies", dir).Replace(text)
	cfg, err := config.Parse(filepath.Join(dir, "config.yaml"), []byte(text))
	if err != nil {
		t.Fatalf("%v, in:\n%s", err, text)
	}
	return cfg
}

// fits looks at what one resource says of another.
func fits(t *testing.T, resources []resource, deployment *apps.Deployment, cfg *config.Config) {
	t.Helper()
	pod := deployment.Spec.Template
	for what, selector := range map[string]map[string]string{
		"Deployment":          deployment.Spec.Selector.MatchLabels,
		"Service":             of[*core.Service](resources).Spec.Selector,
		"NetworkPolicy":       of[*networking.NetworkPolicy](resources).Spec.PodSelector.MatchLabels,
		"PodDisruptionBudget": of[*disruption.PodDisruptionBudget](resources).Spec.Selector.MatchLabels,
		"topology spread":     pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		for label, value := range selector {
			if pod.Labels[label] != value {
				t.Errorf("%s selects %s=%s, the pod has %q", what, label, value, pod.Labels[label])
			}
		}
		if len(selector) == 0 {
			t.Errorf("%s selects every pod", what)
		}
	}
	if autoscaler := of[*autoscaling.HorizontalPodAutoscaler](resources); autoscaler != nil {
		if autoscaler.Spec.ScaleTargetRef.Name != deployment.Name || deployment.Spec.Replicas != nil {
			t.Error("the autoscaler and the Deployment are at odds")
		}
	}
	if pod.Spec.ServiceAccountName != of[*core.ServiceAccount](resources).Name {
		t.Errorf("the pod runs as %q", pod.Spec.ServiceAccountName)
	}
	const flush = 5 * time.Second // OPERATIONS.md: what is left of logs and spans
	ends := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	if need := cfg.Listen.Drain.Delay + cfg.Listen.Drain.Timeout + flush; ends <= need {
		t.Errorf("Kubernetes kills after %v what may take %v", ends, need)
	}
	ports(t, resources, pod.Spec.Containers[0], cfg)
}

// ports looks whether every port that is named is one that the configuration listens on.
func ports(t *testing.T, resources []resource, container core.Container, cfg *config.Config) {
	t.Helper()
	listening := map[string]string{"grpc": cfg.Listen.GRPC.Address, "admin": cfg.Listen.Admin.Address}
	for _, port := range container.Ports {
		if _, number, _ := strings.Cut(listening[port.Name], ":"); number != "9191" && number != "9192" || !strings.HasSuffix(listening[port.Name], number) {
			t.Errorf("port %s is %d, the server listens on %q", port.Name, port.ContainerPort, listening[port.Name])
		}
	}
	named := []string{container.LivenessProbe.HTTPGet.Port.StrVal, container.ReadinessProbe.HTTPGet.Port.StrVal}
	service := of[*core.Service](resources)
	for _, port := range service.Spec.Ports {
		named = append(named, port.TargetPort.StrVal)
	}
	for _, name := range named {
		if listening[name] == "" {
			t.Errorf("there is no port %q", name)
		}
	}
	monitor := of[*monitoring.ServiceMonitor](resources)
	if monitor == nil {
		return
	}
	if !slices.ContainsFunc(service.Spec.Ports, func(p core.ServicePort) bool { return p.Name == monitor.Spec.Endpoints[0].Port }) {
		t.Errorf("the Service has no port %q", monitor.Spec.Endpoints[0].Port)
	}
	if service.Labels[monitor.Spec.JobLabel] != "sallyport" {
		t.Errorf("the job is %q, that of the alerts is sallyport", service.Labels[monitor.Spec.JobLabel])
	}
	if rules := of[*monitoring.PrometheusRule](resources); len(rules.Spec.Groups) == 0 || len(rules.Spec.Groups[0].Rules) < 5 {
		t.Error("there are no alerts")
	}
}

func TestChartRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ values, want string }{
		"nobody said who may ask": {"{}", "needs tls.secretName"},
		"an unknown value":        {"{insecure: true, replica: 3}", "replica"},
		"a value's unknown value": {"{insecure: true, networkPolicy: {caller: []}}", "caller"},
		"everybody, by a slip":    {"{insecure: true, networkPolicy: {callers: []}}", "callers"},
		"a sidecar that is open":  {"{mode: Sidecar, sidecar: {listen: '0.0.0.0:9191'}}", "listen"},
		"another mode":            {"{mode: DaemonSet}", "mode"},
		"a policy of no kind":     {"{insecure: true, policies: {authz.wasm: x}}", "authz.wasm"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := template(tc.values); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one about %s", err, tc.want)
			}
		})
	}
	t.Run("the linter, of a chart without a version", func(t *testing.T) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Chart.yaml"), "apiVersion: v2\nname: "+filepath.Base(dir)+"\n")
		if len(lint.RunAll(dir, nil, "sallyport").Messages) < 2 {
			t.Error("it has nothing to say")
		}
	})
}

func TestChartNotes(t *testing.T) {
	files, err := template("insecure: true")
	if err != nil {
		t.Fatal(err)
	}
	notes := files["sallyport/templates/NOTES.txt"]
	for _, want := range []string{"sallyport.sallyport.svc:9191", "/sallyport why DECISION_ID", "insecure: true"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}
}
