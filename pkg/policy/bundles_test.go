package policy_test

import (
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

func found(value any) map[string]any { return map[string]any{"found": map[string]any{"a": value}} }

// TestBundleServerDown starts with a server that is down, and comes up later on the same address.
func TestBundleServerDown(t *testing.T) {
	address := unused(t)
	e, j := started(t, policy.Config{OPA: opa("http://"+address, nil, nil)})
	if err := e.Ready(); err == nil || !strings.Contains(err.Error(), "waiting for the bundles authz") {
		t.Errorf("ready: %v, want that a bundle is waited for", err)
	}
	if _, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); authz.ReasonOf(err) != authz.NotReady {
		t.Errorf("error %v, want %s", err, authz.NotReady)
	}
	if e.Revision() != "" {
		t.Errorf("revision %q before the first policy", e.Revision())
	}
	j.await(t, "Bundle load failed")

	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", data: found(1)}, nil))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip("the address was taken by another process:", err)
	}
	late := httptest.NewUnstartedServer(r)
	late.Listener.Close()
	late.Listener = listener
	late.Start()
	// The engine runs still, and asks again at once: the listener goes first, or Close waits for it.
	t.Cleanup(func() { late.Listener.Close(); late.CloseClientConnections(); late.Close() })
	j.await(t, "policy loaded revision=r1")
	check(t, e, "r1", map[string]any{"a": 1.0})
	if err := e.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
}

// TestBundleUpdates goes through what a server can send after a good bundle. Whatever is bad is
// refused, and the last good one stays.
func TestBundleUpdates(t *testing.T) {
	key, other := newKey(t, "k1"), newKey(t, "k1")
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", data: found(1)}, key))
	e, j := started(t, policy.Config{OPA: opa(r.URL, map[string]any{"signing": map[string]any{"keyid": "k1"}}, map[string]any{"keys": keys(key)})})
	j.await(t, "policy loaded revision=r1")

	r.serve(bundlePath, pack(t, content{revision: "r1", data: found(1)}, nil)) // unsigned
	line := j.await(t, "Bundle load failed")
	if !strings.Contains(line, "bundle missing .signatures.json file") {
		t.Errorf("an unsigned bundle: %s", line)
	}
	bad := map[string]struct {
		bundle []byte
		want   string
	}{
		"corrupt":           {[]byte("no archive"), "gzip"},
		"of another key":    {pack(t, content{revision: "bad", data: found(2)}, other), "failed to verify JWT signature"},
		"of an unknown key": {pack(t, content{revision: "bad", data: found(2)}, newKey(t, "k2")), "failed to verify JWT signature"},
		"changed after it was signed": {
			swapText(t, pack(t, content{revision: "bad", data: found(2)}, key), `"a":2`, `"a":3`), "digest mismatch"},
		"an unsigned delta": {pack(t, content{revision: "bad", patch: []opabundle.PatchOperation{{Op: "replace", Path: "/found/a", Value: 9}}}, nil), "delta bundles do not support signature verification"},
		"broken Rego":       {pack(t, content{revision: "bad", rego: "package envoy.authz\n\nallow if {"}, key), "policy.rego:3"},
		"the network":       {pack(t, content{revision: "bad", rego: "package envoy.authz\n\nallow if http.send({})"}, key), "authz/policy.rego:3: http.send uses the network"},
		"data of a list":    {pack(t, content{revision: "bad", rego: "package found.a\n\nb := 1", data: found(1)}, key), "found"},
	}
	last := "r1"
	for name, tt := range bad {
		r.serve(bundlePath, tt.bundle)
		if line := j.await(t, tt.want); !strings.Contains(line, "name=authz") {
			t.Errorf("%s: the line does not name the bundle: %s", name, line)
		}
		check(t, e, last, map[string]any{"a": 1.0})
		last = "after " + name
		r.serve(bundlePath, pack(t, content{revision: last, data: found(1)}, key))
		j.await(t, "policy loaded revision="+last)
	}
	if got, want := e.Loads(), uint64(1+len(bad)); got.Loaded != want || got.Refused < want {
		t.Errorf("%+v, want %d loaded and as many refused, or more where one was tried twice", got, want)
	}
}

// TestBundleNotModified has a server that says 304: nothing is loaded again.
func TestBundleNotModified(t *testing.T) {
	r := newRegistry(t)
	first := pack(t, content{revision: "r1", data: found(1)}, nil)
	r.serve(bundlePath, first)
	e, j := started(t, policy.Config{OPA: opa(r.URL, nil, nil)})
	j.await(t, "policy loaded revision=r1")
	if got := <-r.answers; got != "200 "+bundlePath {
		t.Errorf("first answer %q", got)
	}
	for {
		r.serve(bundlePath, first)
		select {
		case got := <-r.answers:
			if got != "304 "+bundlePath {
				t.Errorf("second answer %q, want 304", got)
			}
		default:
			continue
		}
		break
	}
	r.serve(bundlePath, pack(t, content{revision: "r2", data: found(2)}, nil))
	if line := j.await(t, "policy loaded"); !strings.Contains(line, "revision=r2") {
		t.Errorf("%s: loaded again though not modified", line)
	}
	check(t, e, "r2", map[string]any{"a": 2.0})
}

// TestBundleUnsignedWithKeys leaves the signing block out: a key is reason enough to demand it.
func TestBundleUnsignedWithKeys(t *testing.T) {
	key := newKey(t, "k1")
	for name, tt := range map[string]struct {
		source map[string]any
		want   string
	}{
		"not spoken of": {nil, "bundle missing .signatures.json file"},
		"refused":       {map[string]any{"signing": nil}, "policy loaded revision=r1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.serve(bundlePath, pack(t, content{revision: "r1"}, nil))
			_, j := started(t, policy.Config{OPA: opa(r.URL, tt.source, map[string]any{"keys": keys(key)})})
			j.await(t, tt.want)
		})
	}
}

func TestDeltaBundle(t *testing.T) {
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", data: found(1)}, nil))
	e, j := started(t, policy.Config{OPA: opa(r.URL, nil, nil)})
	j.await(t, "policy loaded revision=r1")
	patch := func(op, path string, value any) []opabundle.PatchOperation {
		return []opabundle.PatchOperation{{Op: op, Path: path, Value: value}}
	}
	r.serve(bundlePath, pack(t, content{revision: "r2", patch: patch("upsert", "/found/b", 2)}, nil))
	j.await(t, "policy loaded revision=r2")
	check(t, e, "r2", map[string]any{"a": 1.0, "b": 2.0})

	// Data in the place of a rule cannot become a policy. The store is rolled back with it: the next
	// delta is laid over the last good state.
	r.serve(bundlePath, pack(t, content{revision: "bad", patch: patch("upsert", "/envoy/authz/allow", true)}, nil))
	j.await(t, "Bundle activation failed")
	check(t, e, "r2", map[string]any{"a": 1.0, "b": 2.0})
	r.serve(bundlePath, pack(t, content{revision: "r3", patch: patch("remove", "/found/a", nil)}, nil))
	j.await(t, "policy loaded revision=r3")
	check(t, e, "r3", map[string]any{"b": 2.0})
}

func TestPersistence(t *testing.T) {
	key := newKey(t, "k1")
	dir := t.TempDir()
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", data: found(1)}, key))
	config := func(url string) policy.Config {
		return policy.Config{OPA: opa(url, map[string]any{"persist": true, "signing": map[string]any{"keyid": "k1"}},
			map[string]any{"keys": keys(key), "persistence_directory": dir})}
	}
	first, j := started(t, config(r.URL))
	j.await(t, "policy loaded revision=r1")
	stored := filepath.Join(dir, "bundles", "authz", "bundle.tar.gz")
	awaitFile(t, stored)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	down := "http://" + unused(t)
	second, j := started(t, config(down))
	j.await(t, "policy loaded revision=r1")
	check(t, second, "r1", map[string]any{"a": 1.0})

	// What lies on the disk is verified as what is fetched.
	if err := os.WriteFile(stored, pack(t, content{revision: "bad", data: found(2)}, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	third, j := started(t, config(down))
	j.await(t, "Failed to load bundle from disk")
	if err := third.Ready(); err == nil {
		t.Errorf("ready with revision %q", third.Revision())
	}
}

// awaitFile waits until a file is there; the bundle is persisted after it is activated.
func awaitFile(t *testing.T, name string) {
	t.Helper()
	for t.Context().Err() == nil {
		if _, err := os.Stat(name); err == nil {
			return
		}
	}
	t.Fatalf("%s is not there", name)
}

func TestTwoBundles(t *testing.T) {
	r := newRegistry(t)
	config := opa(r.URL, nil, nil)
	config["bundles"] = map[string]any{
		"rules": map[string]any{"service": "registry", "polling": polling()},
		"users": map[string]any{"service": "registry", "polling": polling()},
	}
	e, j := started(t, policy.Config{OPA: config})
	r.serve("/bundles/users", pack(t, content{revision: "u1", rego: "package users\n", data: found(1), roots: []string{"found", "users"}}, nil))
	<-r.answers
	if err := e.Ready(); err == nil {
		t.Error("ready with one bundle of two")
	}
	r.serve("/bundles/rules", pack(t, content{revision: "p1", roots: []string{"envoy"}}, nil))
	j.await(t, "policy loaded revision=p1,u1")
	check(t, e, "p1,u1", map[string]any{"a": 1.0})
}

// TestBundleWithoutRego has data first: that is no policy, until there are rules.
func TestBundleWithoutRego(t *testing.T) {
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", rego: "package nothing_test", data: found(1), name: "empty_test.rego"}, nil))
	e, j := started(t, policy.Config{OPA: opa(r.URL, nil, map[string]any{"status": map[string]any{"service": "registry"}})})
	for report := range r.statuses {
		if strings.Contains(string(report), `"active_revision":"r1"`) {
			break
		}
	}
	if err := e.Ready(); err == nil || !strings.Contains(err.Error(), "the bundles have no Rego") {
		t.Errorf("ready: %v", err)
	}
	r.serve(bundlePath, pack(t, content{revision: "r2", data: found(2)}, nil))
	j.await(t, "policy loaded revision=r2")
	check(t, e, "r2", map[string]any{"a": 2.0})
}

func TestDiscovery(t *testing.T) {
	r := newRegistry(t)
	e, j := started(t, policy.Config{OPA: map[string]any{
		"services":  map[string]any{"registry": map[string]any{"url": r.URL}},
		"discovery": map[string]any{"service": "registry", "resource": "discovery", "decision": "config", "polling": polling()},
	}})
	if err := e.Ready(); err == nil || !strings.Contains(err.Error(), "waiting for discovery") {
		t.Errorf("ready: %v, want that discovery is waited for", err)
	}
	r.serve(bundlePath, pack(t, content{revision: "r1", data: found(1)}, nil))
	r.serve("/discovery", pack(t, content{rego: "package nothing\n", data: map[string]any{"config": map[string]any{
		"bundles": map[string]any{"authz": map[string]any{"service": "registry", "resource": "bundles/authz", "polling": polling()}},
	}}}, nil))
	j.await(t, "policy loaded revision=r1")
	check(t, e, "r1", map[string]any{"a": 1.0})

	r.serve("/discovery", pack(t, content{rego: "package nothing\n", data: map[string]any{"config": map[string]any{"bundels": map[string]any{}}}}, nil))
	j.await(t, `unknown configuration option "bundels"`)
	check(t, e, "r1", map[string]any{"a": 1.0})
}

func TestStatus(t *testing.T) {
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1"}, nil))
	_, j := started(t, policy.Config{OPA: opa(r.URL, nil, map[string]any{
		"status": map[string]any{"service": "registry"}, "labels": map[string]any{"region": "north"},
	})})
	j.await(t, "policy loaded revision=r1")
	for report := range r.statuses {
		if text := string(report); strings.Contains(text, `"active_revision":"r1"`) {
			if !strings.Contains(text, `"region":"north"`) {
				t.Errorf("no label in %s", text)
			}
			return
		}
	}
}

// TestFilesBesideBundles has the rules in a file and the data in a bundle.
func TestFilesBesideBundles(t *testing.T) {
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", rego: "package library\n\nf := 1", data: found(1)}, nil))
	dir := write(t, map[string]string{"allow.rego": showData})
	e, j := started(t, policy.Config{
		Files: []string{dir}, OPA: opa(r.URL, nil, nil), Data: map[string]any{"found": map[string]any{"b": "configured"}},
	})
	j.await(t, "policy loaded revision=r1,")
	checkMetadata(t, e, map[string]any{"a": 1.0, "b": "configured"})

	r.serve(bundlePath, pack(t, content{revision: "bad", data: found(1)}, nil))
	if line := j.await(t, "Bundle activation failed"); !strings.Contains(line, "authz/policy.rego: package data.envoy.authz is in the file "+dir) {
		t.Errorf("the same package twice: %s", line)
	}
	r.serve(bundlePath, pack(t, content{revision: "bad", rego: "package library\n", data: map[string]any{"found": map[string]any{"b": 1}}}, nil))
	if line := j.await(t, "a bundle: data.found.b is defined twice"); !strings.Contains(line, "Bundle activation failed") {
		t.Errorf("the same data twice: %s", line)
	}
	if err := os.WriteFile(filepath.Join(dir, "allow.rego"), []byte(strings.ReplaceAll(showData, "data.found", `{"c": data.found.a}`)), 0o600); err != nil {
		t.Fatal(err)
	}
	j.await(t, "policy loaded revision=r1,")
	checkMetadata(t, e, map[string]any{"c": 1.0})
}
