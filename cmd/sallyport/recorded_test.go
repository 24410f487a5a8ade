package main

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// recorded are CheckRequests as Envoy sent them, with a word in place of each token.
const recorded = "testdata/checks"

// tokenWord stands for a token in the recorded checks.
const tokenWord = "TOKEN"

// A recorder is asked by Envoy, allows all, and keeps the questions.
type recorder struct {
	auth.UnimplementedAuthorizationServer
	asked chan *auth.CheckRequest
}

// Check implements the service.
func (r *recorder) Check(_ context.Context, in *auth.CheckRequest) (*auth.CheckResponse, error) {
	r.asked <- in
	return ok(), nil
}

// TestRecordedChecks holds the checks that the attacks begin with to what a real Envoy sends today:
// the same fields, and the same headers. RECORD=true writes them anew.
func TestRecordedChecks(t *testing.T) {
	r := &recorder{asked: make(chan *auth.CheckRequest, 1)}
	addr := startAuthz(t, r)
	raw := startMesh(t, setup{config: "routes.yaml", authz: addr})
	joined := startMesh(t, setup{config: "routes.yaml", authz: addr, edits: []edit{
		{"encode_raw_headers: true", "encode_raw_headers: false"}, {"pack_as_bytes: true", "pack_as_bytes: false"},
	}})
	json := http.Header{"Content-Type": {"application/json"}}
	h2 := clients()["HTTP/2.0"]
	for name, send := range map[string]func(){
		"get":        func() { exchange{path: "/orders/7?a=b", header: bearer(tokenWord)}.send(t, http1(), raw.url) },
		"get-joined": func() { exchange{path: "/orders/7", header: bearer(tokenWord)}.send(t, http1(), joined.url) },
		"post": func() {
			exchange{path: "/payments", header: headers(json, bearer(tokenWord)), body: `{"amount": 1}`}.send(t, h2, raw.url)
		},
		"post-joined": func() {
			exchange{path: "/payments", header: headers(json, bearer(tokenWord)), body: `{"amount": 1}`}.send(t, h2, joined.url)
		},
		"cookie": func() {
			exchange{path: "/orders/7", header: http.Header{"Cookie": {"theme=dark; session=" + tokenWord}}}.send(t, h2, raw.url)
		},
		"parameter": func() { exchange{path: "/orders/7?access_token=" + tokenWord}.send(t, http1(), raw.url) },
		"two": func() {
			exchange{path: "/mesh", header: headers(bearer(tokenWord), http.Header{"X-Workload-Token": {"MESH"}})}.send(t, http1(), raw.url)
		},
		"twice": func() {
			exchange{path: "/orders/7", header: http.Header{"Authorization": {"Bearer " + tokenWord, "Bearer " + tokenWord}}}.send(t, http1(), raw.url)
		},
		"network": func() { connectTo(t, r) },
	} {
		send()
		compareRecorded(t, name, <-r.asked)
	}
}

// connectTo has a TCP connection checked.
func connectTo(t *testing.T, r *recorder) {
	t.Helper()
	ca := newAuthority(t)
	m := startMesh(t, setup{config: "network.yaml", network: true, files: ca.files(t), upstream: greeter(t), authz: startAuthz(t, r)})
	certificate := ca.sign(t, "spiffe://example.org/ns/shop/sa/frontend")
	if _, err := m.greet(t, &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{certificate}}); err != nil {
		t.Fatal(err)
	}
}

func compareRecorded(t *testing.T, name string, got *auth.CheckRequest) {
	t.Helper()
	file := filepath.Join(recorded, name+".txtpb")
	if os.Getenv("RECORD") == "true" {
		if err := os.WriteFile(file, []byte(prototext.Format(got)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(fields(t, readCheck(t, file)), fields(t, got)); diff != "" {
		t.Errorf("%s is no more what Envoy sends, record it anew with RECORD=true (-file +Envoy):\n%s", file, diff)
	}
}

func readCheck(t *testing.T, file string) *auth.CheckRequest {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	check := new(auth.CheckRequest)
	if err := prototext.Unmarshal(text, check); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return check
}

// recordedChecks are all of them as bytes, with these tokens.
func recordedChecks(t *testing.T, tokens *strings.Replacer) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(recorded, "*.txtpb"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded checks: %v", err)
	}
	checks := make(map[string][]byte, len(files))
	for _, file := range files {
		check := readCheck(t, file)
		http := check.GetAttributes().GetRequest().GetHttp()
		if http != nil {
			http.Path = tokens.Replace(http.GetPath())
		}
		for name, value := range http.GetHeaders() {
			http.Headers[name] = tokens.Replace(value)
		}
		for _, header := range http.GetHeaderMap().GetHeaders() {
			header.RawValue = []byte(tokens.Replace(string(header.GetRawValue())))
		}
		if checks[strings.TrimSuffix(filepath.Base(file), ".txtpb")], err = proto.Marshal(check); err != nil {
			t.Fatal(err)
		}
	}
	return checks
}

// fields are the paths of all that is set, with the names of headers, and how often each is.
func fields(t *testing.T, check *auth.CheckRequest) []string {
	t.Helper()
	seen := map[string]int{}
	err := protorange.Range(check.ProtoReflect(), func(p protopath.Values) error {
		path := make([]string, 0, len(p.Path))
		for _, step := range p.Path[1:] {
			switch step.Kind() {
			case protopath.ListIndexStep:
			default:
				path = append(path, step.String())
			}
		}
		last := p.Index(-1)
		if message, ok := last.Value.Interface().(protoreflect.Message); ok {
			if key := message.Descriptor().Fields().ByName("key"); key != nil {
				path = append(path, message.Get(key).String())
			}
		}
		seen[strings.Join(path, "")]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range slices.Sorted(maps.Keys(seen)) {
		all = append(all, path+" "+strconv.Itoa(seen[path]))
	}
	return all
}
