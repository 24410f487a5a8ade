package manifests_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// definitions are where the modules of the types have their CustomResourceDefinitions: the types alone know no
// enumeration, no limit and no pattern.
var definitions = map[string]struct{ module, files string }{
	"gateway.envoyproxy.io":     {"github.com/envoyproxy/gateway", "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_%s.yaml"},
	"gateway.networking.k8s.io": {"sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_%s.yaml"},
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
	source, ok := definitions[group]
	if !ok || r.Kind == "EnvoyGateway" { // which is a file, and no resource
		return nil
	}
	schema, err := s.of(t, source.module, source.files, group, version, r.Kind)
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

func (s *schemas) of(t *testing.T, module, files, group, version, kind string) (*jsonschema.Schema, error) {
	t.Helper()
	id := "urn:" + group + ":" + version + ":" + kind
	if schema, ok := s.found[id]; ok {
		return schema, nil
	}
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, err
	}
	if strings.Contains(files, "%s") {
		files = fmt.Sprintf(files, plural(kind))
	}
	text := read(t, filepath.Join(strings.TrimSpace(string(dir)), files))
	for _, document := range strings.Split(text, "\n---\n") {
		if !strings.Contains(document, "kind: "+kind+"\n") {
			continue // most of a large file
		}
		var found definition
		if err := yaml.Unmarshal([]byte(document), &found); err != nil {
			return nil, err
		}
		for _, v := range found.Spec.Versions {
			if found.Spec.Group != group || found.Spec.Names.Kind != kind || v.Name != version {
				continue
			}
			compiler := jsonschema.NewCompiler()
			if err := compiler.AddResource(id, v.Schema.OpenAPIV3Schema); err != nil {
				return nil, err
			}
			if s.found[id], err = compiler.Compile(id); err != nil {
				return nil, err
			}
			return s.found[id], nil
		}
	}
	return nil, fmt.Errorf("%s has no schema of %s %s", module, kind, version)
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
