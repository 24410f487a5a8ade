package pack_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/pack"
)

const allowValid = "package envoy.authz\n\ndefault allow := false\n\nallow if input.tokens.users.status == \"valid\"\n"

// write puts files into a new directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// build makes a bundle in a new directory.
func build(t *testing.T, config pack.Config) (bundle string, err error) {
	t.Helper()
	bundle = filepath.Join(t.TempDir(), "bundle.tar.gz")
	return bundle, pack.Build(t.Context(), config, bundle)
}

func built(t *testing.T, config pack.Config) string {
	t.Helper()
	bundle, err := build(t, config)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// content is the files of a bundle by their names.
func content(t *testing.T, bundle string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(text)
	}
}

func names(t *testing.T, bundle string) map[string]bool {
	all := map[string]bool{}
	for name := range content(t, bundle) {
		all[name] = true
	}
	return all
}

func TestBuildLeavesOut(t *testing.T) {
	dir := write(t, map[string]string{
		"authz/allow.rego": allowValid, "authz/data.json": `{"a": 1}`,
		"authz/allow_test.rego": "package envoy.authz_test\n\ntest_a if nothing", "authz/orders.cases.yaml": "- case", "authz/more.cases.json": "[]",
		".hidden.rego": "no Rego", ".git/config.json": "no JSON", "old.tar.gz": "no archive", "skip/data.json": "no JSON",
	})
	bundle := built(t, pack.Config{Paths: []string{dir}, Bundles: true, Ignore: []string{"skip", "old.tar.gz"}, Revision: "r1"})
	want := map[string]bool{"/authz/allow.rego": true, "/data.json": true, "/.manifest": true}
	if diff := cmp.Diff(want, names(t, bundle)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	files := content(t, bundle)
	if !strings.Contains(files["/.manifest"], `"revision":"r1"`) || !strings.Contains(files["/data.json"], `"authz":{"a":1}`) {
		t.Errorf("manifest %s, data %s", files["/.manifest"], files["/data.json"])
	}
}

// TestBuildIsReproducible has the same files in another directory each time.
func TestBuildIsReproducible(t *testing.T) {
	secret := filepath.Join(write(t, map[string]string{"secret": strings.Repeat("s", 32)}), "secret")
	files := map[string]string{
		"b.rego": allowValid, "a.rego": "package lib\n\nx := data.users", "users.yaml": "users: {zoe: 1, ann: 2, bob: {c: 1, a: 2}}",
	}
	for _, optimize := range []int{0, 1, 2} {
		config := pack.Config{
			Revision: "r1", Optimize: optimize, Entrypoints: []string{"envoy/authz/allow"},
			Signing: &pack.Signing{Key: secret, Algorithm: "HS256", KeyID: "k1"},
		}
		var before []byte
		for range 5 {
			config.Paths = []string{write(t, files)}
			raw, err := os.ReadFile(built(t, config))
			if err != nil {
				t.Fatal(err)
			}
			if before != nil && !bytes.Equal(before, raw) {
				t.Fatalf("with -O %d the same input made other bytes", optimize)
			}
			before = raw
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	rego := func(rules string) map[string]string {
		return map[string]string{"p.rego": "package envoy.authz\n\n" + rules}
	}
	tests := []struct {
		name   string
		files  map[string]string
		config pack.Config
		want   string
	}{
		{name: "a syntax error", files: rego("allow if {"), want: "p.rego:3"},
		{name: "the network", files: rego(`allow if http.send({"url": "https://example.com"}).body`), want: "p.rego:3: http.send uses the network"},
		{name: "a builtin that is not allowed", files: rego(`allow if io.jwt.decode("x")`), config: pack.Config{
			Policy: policy.Config{Capabilities: policy.Capabilities{Builtins: []string{"startswith"}}}}, want: "undefined function io.jwt.decode"},
		{name: "no entrypoint", files: rego("alow := true"), want: "data.envoy.authz.allow is no rule of the policy"},
		{name: "no such entrypoint", files: rego("allow := true"), config: pack.Config{Entrypoints: []string{"main/allow"}}, want: "data.main.allow is no rule"},
		{name: "no entrypoint of the configuration", files: rego("allow := true"), config: pack.Config{Policy: policy.Config{
			Entrypoints: []policy.Entrypoint{{Network: true, Path: "net/allow"}}}}, want: "data.net.allow is no rule"},
		{name: "data in the place of a rule", files: map[string]string{"p.rego": allowValid, "envoy/authz/data.json": `{"allow": true}`}, want: "conflict"},
		{name: "data of the configuration again", files: map[string]string{"p.rego": allowValid, "data.json": `{"a": 1}`},
			config: pack.Config{Policy: policy.Config{Data: map[string]any{"a": 2}}}, want: "data.a is defined twice"},
		{name: "optimization of nothing", files: rego("allow := true"), config: pack.Config{Optimize: 1}, want: "at least one entrypoint"},
		{name: "no such path", config: pack.Config{Paths: []string{"absent"}}, want: "absent: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.config.Paths == nil {
				tt.config.Paths = []string{write(t, tt.files)}
			}
			bundle, err := build(t, tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(bundle), "*")); len(left) > 0 {
				t.Errorf("files are left: %v", left)
			}
		})
	}
}

// TestBuildKeepsTheLastGood has a file in the place that a bad policy must not touch.
func TestBuildKeepsTheLastGood(t *testing.T) {
	dir := write(t, map[string]string{"good/p.rego": allowValid, "bad/p.rego": "package envoy.authz\n\nallow if {"})
	bundle := filepath.Join(dir, "bundle.tar.gz")
	for _, name := range []string{"good", "bad"} {
		err := pack.Build(t.Context(), pack.Config{Paths: []string{filepath.Join(dir, name)}}, bundle)
		if (err != nil) != (name == "bad") {
			t.Fatal(err)
		}
	}
	if files := content(t, bundle); len(files) != 3 {
		t.Errorf("files %v, want the good ones", files)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".bundle*")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pack.Build(cancelled, pack.Config{Paths: []string{filepath.Join(dir, "good")}}, filepath.Join(dir, "absent", "b")); err == nil {
		t.Error("a bundle in a directory that is not there")
	}
}

// TestBuildLeavesOutOfDirectories has what OPA's loader would take for data, or for Rego.
func TestBuildLeavesOutOfDirectories(t *testing.T) {
	dir := write(t, map[string]string{
		"p.rego": allowValid, "p_test.rego": "no Rego", "orders.cases.yaml": "- case", "more.cases.yml": "- case", "users.yaml": "ann: 1",
		".hidden.yaml": "- hidden", "old.tar.gz": "no archive", "big.json": "no JSON",
	})
	bundle := built(t, pack.Config{Paths: []string{dir}, Ignore: []string{"big.*"}})
	if files := content(t, bundle); len(files) != 3 || files["/p.rego"] != allowValid || files["/data.json"] != "{\"ann\":1}\n" {
		t.Errorf("files %v", files)
	}
}

func TestBuildDataAlone(t *testing.T) {
	bundle := built(t, pack.Config{Paths: []string{write(t, map[string]string{"users/data.json": `{"ann": 1}`})}})
	if data := content(t, bundle)["/data.json"]; !strings.Contains(data, `"ann":1`) {
		t.Errorf("data %s", data)
	}
}

func TestBuildVersion0(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": "package envoy.authz\n\ndefault allow = false\n\nallow { input.tokens.users.status == \"valid\" }\n"})
	bundle := built(t, pack.Config{Paths: []string{dir}})
	if manifest := content(t, bundle)["/.manifest"]; !strings.Contains(manifest, `"rego_version":0`) {
		t.Errorf("manifest %s, want the version", manifest)
	}
	if err := policy.Validate(t.Context(), policy.Config{Files: []string{bundle}}); err != nil {
		t.Error(err)
	}
}
