package manifests_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	strict "sigs.k8s.io/yaml"

	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// mesh reads the MeshConfig of a file with values of the chart istiod.
func mesh(text string) (*v1alpha1.MeshConfig, error) {
	var values struct {
		MeshConfig json.RawMessage `json:"meshConfig"`
	}
	if err := strict.UnmarshalStrict([]byte(text), &values); err != nil {
		return nil, err
	}
	out := new(v1alpha1.MeshConfig)
	return out, protojson.Unmarshal(values.MeshConfig, out)
}

func TestMeshConfig(t *testing.T) {
	text := read(t, deploy+"/istio/istiod.yaml")
	config, err := mesh(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, provider := range config.ExtensionProviders {
		if grpc := provider.GetEnvoyExtAuthzGrpc(); grpc == nil || grpc.FailOpen || grpc.StatusOnError != "503" {
			t.Errorf("provider %s is %v", provider.Name, provider)
		}
	}
	for name, planted := range map[string]string{
		"an unknown field": `{"meshConfig": {"extensionProviders": [{"name": "x", "envoyExtAuthzGrpc": {"doors": 2}}]}}`,
		"a field of HTTP":  `{"meshConfig": {"extensionProviders": [{"name": "x", "envoyExtAuthzGrpc": {"pathPrefix": "/"}}]}}`,
		"another member":   text + "\nmesh: {}\n",
	} {
		if _, err := mesh(planted); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// filterOf is the filter that Istio's pilot makes of a provider, as far as it concerns Envoy's validation:
// the cluster is that of deploy/envoy.
func filterOf(provider *v1alpha1.MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationGrpcProvider) (*extauthz.ExtAuthz, error) {
	status, err := strconv.ParseInt(provider.StatusOnError, 10, 32)
	if err != nil {
		return nil, err
	}
	body := provider.IncludeRequestBodyInCheck
	return &extauthz.ExtAuthz{
		TransportApiVersion: corev3.ApiVersion_V3,
		FailureModeAllow:    provider.FailOpen,
		StatusOnError:       &typev3.HttpStatus{Code: typev3.StatusCode(status)},
		WithRequestBody: &extauthz.BufferSettings{
			MaxRequestBytes: body.MaxRequestBytes, AllowPartialMessage: body.AllowPartialMessage, PackAsBytes: body.PackAsBytes,
		},
		Services: &extauthz.ExtAuthz_GrpcService{GrpcService: &corev3.GrpcService{
			Timeout: provider.Timeout,
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
				ClusterName: "sallyport", Authority: "outbound_.9191_._.sallyport.sallyport.svc.cluster.local",
			}},
		}},
	}, nil
}

// patched is a filter after the patch of an EnvoyFilter, merged as pilot does.
func patched(filter *extauthz.ExtAuthz, patch *structpb.Struct) (*extauthz.ExtAuthz, error) {
	value, err := patch.Fields["typed_config"].MarshalJSON()
	if err != nil {
		return nil, err
	}
	var wrapped anypb.Any
	if err := protojson.Unmarshal(value, &wrapped); err != nil {
		return nil, err
	}
	change := new(extauthz.ExtAuthz)
	if err := wrapped.UnmarshalTo(change); err != nil {
		return nil, err
	}
	out := proto.CloneOf(filter)
	proto.Merge(out, change)
	return out, nil
}

// Every EnvoyFilter patches what Istio makes of the provider into something that Envoy takes, and that
// asks as deploy/envoy/envoy.yaml does.
func TestEnvoyFilters(t *testing.T) {
	config, err := mesh(read(t, deploy+"/istio/istiod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	filter, err := filterOf(config.ExtensionProviders[0].GetEnvoyExtAuthzGrpc())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"sidecar.yaml", "gateway.yaml", "waypoint.yaml"} {
		t.Run(file, func(t *testing.T) {
			resources, err := documents(read(t, filepath.Join(deploy, "istio", file)))
			if err != nil {
				t.Fatal(err)
			}
			patch := of[*networking.EnvoyFilter](resources).ConfigPatches[0].Patch.Value
			got, err := patched(filter, patch)
			if err != nil {
				t.Fatal(err)
			}
			service := got.GetGrpcService()
			if !got.EncodeRawHeaders || !got.IncludePeerCertificate || service.RetryPolicy == nil || service.GetEnvoyGrpc().ClusterName != "sallyport" {
				t.Errorf("the filter is %v", got)
			}
			if err := validate(t, got); err != nil {
				t.Error(err)
			}
			refusesPatches(t, filter, patch)
		})
	}
}

// refusesPatches plants what no proxy would take.
func refusesPatches(t *testing.T, filter *extauthz.ExtAuthz, patch *structpb.Struct) {
	t.Helper()
	unknown := proto.CloneOf(patch)
	unknown.Fields["typed_config"].GetStructValue().Fields["doors"] = structpb.NewNumberValue(2)
	if _, err := patched(filter, unknown); err == nil {
		t.Error("an unknown field is taken")
	}
	bad := proto.CloneOf(patch)
	back := bad.Fields["typed_config"].GetStructValue().Fields["grpc_service"].GetStructValue().Fields["retry_policy"].GetStructValue().Fields["retry_back_off"]
	back.GetStructValue().Fields["base_interval"] = structpb.NewStringValue("0s")
	planted, err := patched(filter, bad)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, planted); err == nil {
		t.Error("Envoy takes a base_interval of 0s")
	}
}

// validate lets a real Envoy judge deploy/envoy/envoy.yaml with this filter in the place of its own.
func validate(t *testing.T, filter *extauthz.ExtAuthz) error {
	t.Helper()
	binary := envoyBinary(t)
	var bootstrap map[string]any
	if err := strict.Unmarshal([]byte(read(t, deploy+"/envoy/envoy.yaml")), &bootstrap); err != nil {
		t.Fatal(err)
	}
	wrapped, err := anypb.New(filter)
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	listener := member(t, bootstrap, "static_resources", "listeners")
	manager := member(t, listener, "filter_chains", "filters", "typed_config", "http_filters")
	if manager["name"] != "envoy.filters.http.ext_authz" {
		t.Fatalf("the first HTTP filter is %v", manager["name"])
	}
	manager["typed_config"] = json.RawMessage(text)
	config, err := json.Marshal(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	return envoytest.Validate(t.Context(), envoytest.Options{Binary: binary, Config: string(config)})
}

// member goes down a path of members; of a list, to the first element.
func member(t *testing.T, at map[string]any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		next := at[name]
		if list, ok := next.([]any); ok && len(list) > 0 {
			next = list[0]
		}
		down, ok := next.(map[string]any)
		if !ok {
			t.Fatalf("the bootstrap has no %s", name)
		}
		at = down
	}
	return at
}

// envoyBinary is the Envoy that hack/test found. Without one the test is skipped, and no CI passes.
func envoyBinary(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("ENVOY")
	switch {
	case binary != "":
	case os.Getenv("CI") == "true":
		t.Fatal("ENVOY is not set: hack/test sets it")
	default:
		fmt.Fprintf(os.Stderr, "\n*** %s is NOT run: ENVOY is not set; hack/test sets it\n", t.Name())
		t.Skip("ENVOY is not set; hack/test sets it")
	}
	return binary
}
