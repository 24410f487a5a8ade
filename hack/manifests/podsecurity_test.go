package manifests_test

import (
	"fmt"
	"testing"

	gateway "github.com/envoyproxy/gateway/api/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// restricted says why Kubernetes' Pod Security Standard "restricted" would refuse a pod.
func restricted(pod core.PodTemplateSpec) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
		return fmt.Errorf("%s: %s", result.ForbiddenReason(), result.ForbiddenDetail())
	}
	return nil
}

// pods are those that a resource makes. Of Envoy Gateway's Envoy, Sallyport's container is ours.
func (r resource) pods() []core.PodTemplateSpec {
	switch typed := r.typed.(type) {
	case *apps.Deployment:
		return []core.PodTemplateSpec{typed.Spec.Template}
	case *gateway.EnvoyProxy:
		if typed.Spec.Provider == nil {
			return nil
		}
		deployment := typed.Spec.Provider.Kubernetes.EnvoyDeployment
		return []core.PodTemplateSpec{{Spec: core.PodSpec{Containers: deployment.InitContainers, Volumes: deployment.Pod.Volumes}}}
	default:
		return nil
	}
}

func TestPodSecurityRefuses(t *testing.T) {
	good, err := documents(read(t, "../../deploy/kubernetes/sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	pod := good[0].pods()[0]
	if err := restricted(pod); err != nil {
		t.Fatal(err)
	}
	yes, root := true, int64(0)
	for name, plant := range map[string]func(*core.PodSpec){
		"a privileged container": func(p *core.PodSpec) { p.Containers[0].SecurityContext.Privileged = &yes },
		"root":                   func(p *core.PodSpec) { p.InitContainers[0].SecurityContext.RunAsUser = &root },
		"a capability":           func(p *core.PodSpec) { p.Containers[0].SecurityContext.Capabilities = nil },
		"no seccomp profile":     func(p *core.PodSpec) { p.SecurityContext.SeccompProfile = nil },
		"a directory of the node": func(p *core.PodSpec) {
			p.Volumes[0].VolumeSource = core.VolumeSource{HostPath: &core.HostPathVolumeSource{Path: "/"}}
		},
		"the network of the node": func(p *core.PodSpec) { p.HostNetwork = true },
	} {
		t.Run(name, func(t *testing.T) {
			planted := core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{}, Spec: *pod.Spec.DeepCopy()}
			plant(&planted.Spec)
			if restricted(planted) == nil {
				t.Error("taken")
			}
		})
	}
}
