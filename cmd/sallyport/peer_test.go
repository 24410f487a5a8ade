package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// A peerGroup is a policy and what is asked of it, in a file of testdata/peer. The cases are those
// that opa-envoy-plugin tests itself with, and those of its documentation, written anew.
type peerGroup struct {
	Group  string
	Rego   string         // the policy; "" answers with the whole input
	File   string         // or the file that it is in
	Answer any            // or what it always answers
	Config map[string]any // beside policy.files
	Cases  []peerCase
}

// A peerCase is a CheckRequest and the answer to it, in JSON names.
type peerCase struct {
	Name       string         // without HTTP and Attributes, it is about GET /
	Differs    string         // opa-envoy-plugin does otherwise: the difference's name in the migration page
	HTTP       map[string]any // is attributes.request.http
	Attributes map[string]any // all of them

	Input    map[string]any // what policy sees, without what Sallyport adds
	Sees     map[string]any // some keys of it
	Allow    map[string]any // an OkHttpResponse
	Deny     map[string]any // a DeniedHttpResponse
	Code     int            // of the status, beside Deny; "": 7, PERMISSION_DENIED
	Reason   string         // beside Deny; "": policy_denied
	Metadata map[string]any // dynamic metadata, without what Sallyport adds
}

// TestPeer asks the server over gRPC what opa-envoy-plugin is asked by its own tests.
func TestPeer(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "peer", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, file := range files {
		for _, group := range readGroups(t, file) {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml")+"/"+group.Group, group.run)
		}
	}
}

func readGroups(t *testing.T, name string) []peerGroup {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	var groups []peerGroup
	if err := decoder.Decode(&groups); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return groups
}

func (g peerGroup) run(t *testing.T) {
	_, conn := running(t, g.configuration(t))
	client := auth.NewAuthorizationClient(conn)
	for _, tc := range g.Cases {
		t.Run(tc.Name, func(t *testing.T) {
			got, err := client.Check(t.Context(), tc.request(t))
			if err != nil {
				t.Fatal(err)
			}
			tc.compare(t, got)
		})
	}
}

// configuration is a whole one; descriptor sets are kept as text.
func (g peerGroup) configuration(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "policy.rego"), g.policy(t))
	settings := map[string]any{"listen": map[string]any{"grpc": "127.0.0.1:0", "admin": ""}}
	maps.Copy(settings, g.Config)
	policy := map[string]any{}
	if given, ok := settings["policy"].(map[string]any); ok {
		maps.Copy(policy, given)
	}
	policy["files"] = []string{"policy.rego"}
	if name, ok := policy["protoDescriptor"].(string); ok {
		writeText(t, filepath.Join(dir, "set.pb"), descriptorSet(t, name))
		policy["protoDescriptor"] = "set.pb"
	}
	settings["policy"] = policy
	text, err := yaml.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(filepath.Join(dir, "sallyport.yaml"), text)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func (g peerGroup) policy(t *testing.T) string {
	t.Helper()
	switch {
	case g.Rego != "":
		return g.Rego
	case g.File != "":
		return readText(t, "testdata", "peer", g.File)
	case g.Answer == nil:
		return `package envoy.authz

allow := {"allowed": true, "dynamic_metadata": {"input": input}}
`
	}
	answer, err := json.Marshal(g.Answer)
	if err != nil {
		t.Fatal(err)
	}
	return "package envoy.authz\n\nallow := " + string(answer) + "\n"
}

func descriptorSet(t *testing.T, name string) string {
	t.Helper()
	var set descriptorpb.FileDescriptorSet
	if err := prototext.Unmarshal([]byte(readText(t, "testdata", "peer", name)), &set); err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func readText(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (tc peerCase) request(t *testing.T) *auth.CheckRequest {
	t.Helper()
	attributes := tc.Attributes
	switch {
	case attributes == nil && tc.HTTP == nil:
		attributes = map[string]any{"request": map[string]any{"http": map[string]any{"method": "GET", "path": "/"}}}
	case attributes == nil:
		attributes = map[string]any{"request": map[string]any{"http": tc.HTTP}}
	}
	request := &auth.CheckRequest{}
	fromJSON(t, map[string]any{"attributes": attributes}, request)
	return request
}

// compare looks at the whole answer, in which only the decision's id and the revision are unknown.
func (tc peerCase) compare(t *testing.T, got *auth.CheckResponse) {
	t.Helper()
	metadata := got.GetDynamicMetadata().AsMap()
	for _, ours := range []string{"decision_id", "revision"} {
		if text, ok := metadata[ours].(string); !ok || text == "forged" {
			t.Errorf("dynamic metadata has the %s %v", ours, metadata[ours])
		}
		delete(metadata, ours)
	}
	got.DynamicMetadata = nil
	if diff := cmp.Diff(tc.answer(t), got, protocmp.Transform()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if input, ok := metadata["input"].(map[string]any); ok && (tc.Input != nil || tc.Sees != nil) {
		tc.compareInput(t, input)
		delete(metadata, "input")
	}
	if diff := cmp.Diff(plainJSON(t, tc.Metadata), metadata); diff != "" && len(tc.Metadata)+len(metadata) > 0 {
		t.Errorf("dynamic metadata (-want +got):\n%s", diff)
	}
}

func (tc peerCase) compareInput(t *testing.T, input map[string]any) {
	t.Helper()
	want := tc.Input
	for _, ours := range []string{"tokens", "source", "path_ambiguous"} {
		delete(input, ours)
	}
	if tc.Sees != nil {
		want = tc.Sees
		maps.DeleteFunc(input, func(key string, _ any) bool { _, there := want[key]; return !there })
	}
	if diff := cmp.Diff(plainJSON(t, want), input); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
}

func (tc peerCase) answer(t *testing.T) *auth.CheckResponse {
	t.Helper()
	answer := map[string]any{"status": map[string]any{"code": 0}, "okResponse": tc.Allow}
	switch {
	case tc.Deny != nil:
		status := map[string]any{"code": 7, "message": "policy_denied"}
		if tc.Code != 0 {
			status["code"] = tc.Code
		}
		if tc.Reason != "" {
			status["message"] = tc.Reason
		}
		answer = map[string]any{"status": status, "deniedResponse": tc.Deny}
	case tc.Allow == nil:
		answer["okResponse"] = map[string]any{}
	}
	response := &auth.CheckResponse{}
	fromJSON(t, answer, response)
	return response
}

func fromJSON(t *testing.T, value any, into proto.Message) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// plainJSON makes every number a float64, as a Struct does.
func plainJSON(t *testing.T, value map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}
