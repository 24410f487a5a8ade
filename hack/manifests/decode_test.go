package manifests_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	gateway "github.com/envoyproxy/gateway/api/v1alpha1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	istionetworking "istio.io/api/networking/v1alpha3"
	istiosecurity "istio.io/api/security/v1beta1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	strict "sigs.k8s.io/yaml"
)

// A resource is a document of a manifest, decoded into the type of its API.
type resource struct {
	meta.TypeMeta
	Metadata meta.ObjectMeta
	typed    any // of package apps, core, gateway, … ; of Istio, the message of its spec
	text     []byte
}

// kinds are the types of Kubernetes, Gateway API, Envoy Gateway and the Prometheus operator.
var kinds = map[string]func() any{
	"v1/Namespace":                                       func() any { return new(core.Namespace) },
	"v1/ConfigMap":                                       func() any { return new(core.ConfigMap) },
	"v1/Service":                                         func() any { return new(core.Service) },
	"v1/ServiceAccount":                                  func() any { return new(core.ServiceAccount) },
	"apps/v1/Deployment":                                 func() any { return new(apps.Deployment) },
	"autoscaling/v2/HorizontalPodAutoscaler":             func() any { return new(autoscaling.HorizontalPodAutoscaler) },
	"policy/v1/PodDisruptionBudget":                      func() any { return new(disruption.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":                 func() any { return new(networking.NetworkPolicy) },
	"monitoring.coreos.com/v1/ServiceMonitor":            func() any { return new(monitoring.ServiceMonitor) },
	"monitoring.coreos.com/v1/PrometheusRule":            func() any { return new(monitoring.PrometheusRule) },
	"gateway.networking.k8s.io/v1/GatewayClass":          func() any { return new(gatewayv1.GatewayClass) },
	"gateway.networking.k8s.io/v1/Gateway":               func() any { return new(gatewayv1.Gateway) },
	"gateway.networking.k8s.io/v1/HTTPRoute":             func() any { return new(gatewayv1.HTTPRoute) },
	"gateway.networking.k8s.io/v1/BackendTLSPolicy":      func() any { return new(gatewayv1.BackendTLSPolicy) },
	"gateway.networking.k8s.io/v1beta1/ReferenceGrant":   func() any { return new(gatewayv1beta1.ReferenceGrant) },
	"gateway.envoyproxy.io/v1alpha1/Backend":             func() any { return new(gateway.Backend) },
	"gateway.envoyproxy.io/v1alpha1/ClientTrafficPolicy": func() any { return new(gateway.ClientTrafficPolicy) },
	"gateway.envoyproxy.io/v1alpha1/EnvoyGateway":        func() any { return new(gateway.EnvoyGateway) },
	"gateway.envoyproxy.io/v1alpha1/EnvoyProxy":          func() any { return new(gateway.EnvoyProxy) },
	"gateway.envoyproxy.io/v1alpha1/SecurityPolicy":      func() any { return new(gateway.SecurityPolicy) },
}

// specs are Istio's. Its own types pass over unknown fields, so the spec alone is decoded.
var specs = map[string]func() proto.Message{
	"security.istio.io/v1/PeerAuthentication":  func() proto.Message { return new(istiosecurity.PeerAuthentication) },
	"security.istio.io/v1/AuthorizationPolicy": func() proto.Message { return new(istiosecurity.AuthorizationPolicy) },
	"networking.istio.io/v1/ServiceEntry":      func() proto.Message { return new(istionetworking.ServiceEntry) },
	"networking.istio.io/v1alpha3/EnvoyFilter": func() proto.Message { return new(istionetworking.EnvoyFilter) },
}

// documents decodes each document of a manifest; an unknown field, a doubled one or a wrong type is an error.
func documents(text string) ([]resource, error) {
	var out []resource
	reader := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if empty(document) {
			continue
		}
		r, err := decode(document)
		if err != nil {
			return nil, fmt.Errorf("%w, in:\n%s", err, document)
		}
		out = append(out, r)
	}
}

func decode(document []byte) (resource, error) {
	r := resource{text: document}
	if err := strict.Unmarshal(document, &r); err != nil {
		return r, err
	}
	kind := r.APIVersion + "/" + r.Kind
	if typed, ok := kinds[kind]; ok {
		r.typed = typed()
		return r, strict.UnmarshalStrict(document, r.typed)
	}
	typed, ok := specs[kind]
	if !ok {
		return r, fmt.Errorf("%s is no kind that the test knows", kind)
	}
	var custom struct {
		meta.TypeMeta `json:",inline"`
		Metadata      meta.ObjectMeta `json:"metadata"`
		Spec          json.RawMessage `json:"spec"`
	}
	if err := strict.UnmarshalStrict(document, &custom); err != nil {
		return r, err
	}
	message := typed()
	r.typed = message
	return r, protojson.Unmarshal(custom.Spec, message)
}

func empty(document []byte) bool {
	for line := range strings.Lines(string(document)) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// refusesFaults plants an unknown field into a document, and expects that it is refused.
func refusesFaults(t *testing.T, r resource) {
	t.Helper()
	var document map[string]any
	if err := strict.Unmarshal(r.text, &document); err != nil {
		t.Fatal(err)
	}
	at := document
	if spec, ok := document["spec"].(map[string]any); ok {
		at = spec
	}
	at["doors"] = 2
	text, err := strict.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(text); err == nil || !strings.Contains(err.Error(), "doors") {
		t.Errorf("%s with an unknown field: error %v", r.Kind, err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
