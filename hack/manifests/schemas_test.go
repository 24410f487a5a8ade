package manifests_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	strict "sigs.k8s.io/yaml"
)

// published says where the modules of the types have their CustomResourceDefinitions: the types alone know no
// enumeration, no limit and no pattern.
var published = map[string]struct{ module, file string }{
	"gateway.envoyproxy.io":     {"github.com/envoyproxy/gateway", "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_KINDS.yaml"},
	"gateway.networking.k8s.io": {"sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_KINDS.yaml"},
	"networking.istio.io":       {"istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"},
	"security.istio.io":         {"istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"},
}

// A definition is what we need of a CustomResourceDefinition.
type definition struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema any }
		}
	}
}

// schemas are those that were read.
type schemas struct{ found map[string]*jsonschema.Schema }

func newSchemas() *schemas { return &schemas{found: map[string]*jsonschema.Schema{}} }

// check holds a resource against the schema that its API publishes. Kinds of Kubernetes itself, and of who
// publishes none with the types, pass.
func (s *schemas) check(t *testing.T, r resource) error {
	t.Helper()
	group, version, _ := strings.Cut(r.APIVersion, "/")
	if _, ok := published[group]; !ok || r.Kind == "EnvoyGateway" { // which is a file, and no resource
		return nil
	}
	schema, err := s.of(t, group, version, r.Kind)
	if err != nil {
		return err
	}
	text, err := strict.YAMLToJSON(r.text)
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(document)
}

func (s *schemas) of(t *testing.T, group, version, kind string) (*jsonschema.Schema, error) {
	t.Helper()
	id := "urn:" + group + ":" + version + ":" + kind
	if schema, ok := s.found[id]; ok {
		return schema, nil
	}
	for _, found := range definitionsOf(t, group, kind) {
		for _, v := range found.Spec.Versions {
			if found.Spec.Group != group || found.Spec.Names.Kind != kind || v.Name != version {
				continue
			}
			compiler := jsonschema.NewCompiler()
			if err := compiler.AddResource(id, v.Schema.OpenAPIV3Schema); err != nil {
				return nil, err
			}
			schema, err := compiler.Compile(id)
			s.found[id] = schema
			return schema, err
		}
	}
	return nil, fmt.Errorf("%s publishes no schema of %s %s", published[group].module, kind, version)
}

// definitionsOf reads the file that has the definition of a kind. Most of a large one is passed over.
func definitionsOf(t *testing.T, group, kind string) []definition {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", published[group].module).Output()
	if err != nil {
		t.Fatal(err)
	}
	file := strings.ReplaceAll(published[group].file, "KINDS", plural(kind))
	var out []definition
	for document := range strings.SplitSeq(read(t, filepath.Join(strings.TrimSpace(string(dir)), file)), "\n---\n") {
		if !strings.Contains(document, "kind: "+kind+"\n") {
			continue
		}
		var found definition
		if err := strict.Unmarshal([]byte(document), &found); err != nil {
			t.Fatal(err)
		}
		out = append(out, found)
	}
	return out
}

func plural(kind string) string {
	kind = strings.ToLower(kind)
	switch {
	case strings.HasSuffix(kind, "y") && !strings.HasSuffix(kind, "ay"):
		return strings.TrimSuffix(kind, "y") + "ies"
	case strings.HasSuffix(kind, "ss"):
		return kind + "es"
	default:
		return kind + "s"
	}
}

func TestSchemasRefuse(t *testing.T) {
	s := newSchemas()
	for name, tc := range map[string]struct{ file, old, planted string }{
		"a trigger that is none":   {"gateway/httproute.yaml", "triggers: [unavailable", "triggers: [busy"},
		"a status that is none":    {"gateway/httproute.yaml", "statusOnError: 503", "statusOnError: 200"},
		"a name of no host":        {"gateway/tls.yaml", "hostname: sallyport.sallyport.svc", "hostname: SALLYPORT_"},
		"a service without a host": {"istio/local.yaml", "hosts: [sallyport.local]", "hosts: []"},
	} {
		t.Run(name, func(t *testing.T) {
			text := read(t, filepath.Join(deploy, tc.file))
			planted := strings.Replace(text, tc.old, tc.planted, 1)
			if planted == text {
				t.Fatalf("%s has no %q", tc.file, tc.old)
			}
			resources, err := documents(planted)
			if err != nil {
				t.Fatalf("the types refuse it already: %v", err)
			}
			var refused error
			for _, r := range resources {
				if err := s.check(t, r); err != nil {
					refused = err
				}
			}
			if refused == nil {
				t.Error("taken")
			}
		})
	}
}
