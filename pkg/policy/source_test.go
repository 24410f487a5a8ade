package policy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// showData answers with the data that the test's files define.
const showData = "package envoy.authz\n\nallow := {\"allowed\": true, \"dynamic_metadata\": data.found}\n"

func TestFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"policy/allow.rego":             showData,
		"policy/allow_test.rego":        "package envoy.authz_test\n\nthis is no Rego",
		"policy/.git/x.rego":            "neither is this",
		"policy/README.md":              "nor this",
		"policy/found/users/roles.json": `{"ann": ["admin"]}`,
		"policy/found/users/list.yaml":  "bob: [clerk]\nlimit: 10\n",
		"policy/found/top.yml":          "level: 1.5\n",
		"more.json":                     `{"found": {"more": true}}`,
	})
	e, err := policy.New(t.Context(), policy.Config{
		Files: []string{filepath.Join(dir, "policy"), filepath.Join(dir, "more.json")},
		Data:  map[string]any{"found": map[string]any{"configured": []any{uint8(1), "a"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"users":      map[string]any{"ann": []any{"admin"}, "bob": []any{"clerk"}, "limit": 10.0},
		"level":      1.5,
		"more":       true,
		"configured": []any{1.0, "a"},
	}
	checkMetadata(t, e, want)
}

func checkMetadata(t *testing.T, e *policy.Engine, want map[string]any) {
	t.Helper()
	d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, d.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// TestFilesOfAConfigMap has the links that Kubernetes makes of a mounted ConfigMap.
func TestFilesOfAConfigMap(t *testing.T) {
	dir := write(t, map[string]string{
		"..2026_11_23/allow.rego": showData,
		"..2026_11_23/data.json":  `{"found": {"a": 1}}`,
	})
	for link, target := range map[string]string{
		"..data": "..2026_11_23", "allow.rego": "..data/allow.rego", "data.json": "..data/data.json",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	e, err := policy.New(t.Context(), policy.Config{Files: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	checkMetadata(t, e, map[string]any{"a": 1.0})
}

func TestFilesRefused(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		list  []string
		data  map[string]any
		want  []string
	}{
		{name: "missing", list: []string{"nowhere.rego"}, want: []string{"nowhere.rego", "no such file"}},
		{name: "of another kind", files: map[string]string{"a.txt": ""}, list: []string{"a.txt"}, want: []string{"a.txt", "not a .rego"}},
		{name: "without Rego", files: map[string]string{"a.json": "{}"}, list: []string{"a.json"}, want: []string{"no Rego"}},
		{name: "broken JSON", files: map[string]string{"a.json": "{"}, list: []string{"a.json"}, want: []string{"a.json"}},
		{name: "a list of data", files: map[string]string{"a.json": "[]"}, list: []string{"a.json"}, want: []string{"a.json", "must be an object"}},
		{
			name:  "broken Rego in a directory",
			files: map[string]string{"p/a/b.rego": "package a\n\nallow if {"},
			list:  []string{"p"},
			want:  []string{"p/a/b.rego:3"},
		},
		{
			name:  "data twice",
			files: map[string]string{"a.json": `{"x": {"y": 1, "z": 1}}`, "b.yaml": "x: {y: 2}"},
			list:  []string{"a.json", "b.yaml"},
			want:  []string{"b.yaml", "data.x.y is defined twice"},
		},
		{
			name:  "data in the configuration too",
			files: map[string]string{"a.json": `{"x": {"y": {"z": 1}}}`},
			list:  []string{"a.json"},
			data:  map[string]any{"x": map[string]any{"y": map[string]any{"z": 2}}},
			want:  []string{"the configuration", "data.x.y.z is defined twice"},
		},
		{name: "a broken bundle", files: map[string]string{"b.tar.gz": "no archive"}, list: []string{"b.tar.gz"}, want: []string{"b.tar.gz"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := write(t, tt.files)
			for i, name := range tt.list {
				tt.list[i] = filepath.Join(dir, name)
			}
			_, err := policy.New(t.Context(), policy.Config{Files: tt.list, Data: tt.data})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestRegoVersions(t *testing.T) {
	files := map[string]string{
		"v0.rego":     "package old\n\nallow { input.attributes.request.http.method == \"GET\" }\n\nnames[n] { n := \"a\" }\n",
		"import.rego": "package both\n\nimport rego.v1\n\nallow if data.old.allow\n",
		"v1.rego":     "package envoy.authz\n\nallow if {\n\tdata.both.allow\n\t\"a\" in data.old.names\n}\n",
	}
	e, err := policy.New(t.Context(), policy.Config{Files: []string{write(t, files)}})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed {
		t.Errorf("got %+v, %v, want an allow", d, err)
	}
}

// bundle makes an archive as "opa build" does.
func bundle(t *testing.T, files map[string]string) string {
	t.Helper()
	var raw bytes.Buffer
	zipped := gzip.NewWriter(&raw)
	archive := tar.NewWriter(zipped)
	for name, text := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(write(t, map[string]string{"bundle.tar.gz": raw.String()}), "bundle.tar.gz")
}

func TestBundle(t *testing.T) {
	tests := []struct {
		name         string
		files        map[string]string
		wantRevision string // "" for a hash
	}{
		{
			name: "with a revision",
			files: map[string]string{
				"/.manifest": `{"revision": "r42", "roots": [""]}`, "/authz/allow.rego": showData, "/found/data.json": `{"a": 1}`,
				"/authz/allow_test.rego": "package envoy.authz_test\n\ntest_a if data.nowhere.f(1)",
			},
			wantRevision: "r42",
		},
		{name: "without a manifest", files: map[string]string{"/allow.rego": showData, "/found/data.json": `{"a": 1}`}},
		{
			name: "of Rego v0",
			files: map[string]string{
				"/.manifest": `{"revision": "old"}`, "/found/data.json": `{"a": 1}`,
				"/allow.rego": "package envoy.authz\n\nallow = {\"allowed\": true, \"dynamic_metadata\": data.found} { true }",
			},
			wantRevision: "old",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := policy.New(t.Context(), policy.Config{Files: []string{bundle(t, tt.files)}})
			if err != nil {
				t.Fatal(err)
			}
			checkMetadata(t, e, map[string]any{"a": 1.0})
			if tt.wantRevision == "" && len(e.Revision()) != 12 || tt.wantRevision != "" && e.Revision() != tt.wantRevision {
				t.Errorf("revision %q, want %q", e.Revision(), tt.wantRevision)
			}
		})
	}
}

func TestRevision(t *testing.T) {
	revision := func(files map[string]string, data map[string]any) string {
		t.Helper()
		e, err := policy.New(t.Context(), policy.Config{Files: []string{write(t, files)}, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		return e.Revision()
	}
	files := map[string]string{"a.rego": showData, "b/c.json": `{"a": 1}`}
	data := map[string]any{"x": 1, "y": 2}
	base := revision(files, data)
	if again := revision(files, data); again != base {
		t.Errorf("the same sources have the revisions %q and %q", base, again)
	}
	changed := map[string]string{
		"data":           revision(files, map[string]any{"x": 1, "y": 3}),
		"a module":       revision(map[string]string{"a.rego": showData + "\n", "b/c.json": `{"a": 1}`}, data),
		"a file":         revision(map[string]string{"a.rego": showData, "b/c.json": `{"a": 2}`}, data),
		"a file's place": revision(map[string]string{"a.rego": showData, "d/c.json": `{"a": 1}`}, data),
	}
	for what, got := range changed {
		if got == base {
			t.Errorf("another %s has the same revision", what)
		}
	}
	mixed, err := policy.New(t.Context(), policy.Config{
		Files: []string{bundle(t, map[string]string{"/.manifest": `{"revision": "r42"}`, "/a.rego": showData})},
		Data:  data,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := mixed.Revision(); !strings.HasPrefix(got, "r42,") || len(got) != len("r42,")+12 {
		t.Errorf("revision %q, want that of the bundle and a hash of the data", got)
	}
}

// Request cases are no data, wherever they are; a file that only looks like one is.
func TestCasesAreNoData(t *testing.T) {
	dir := write(t, map[string]string{
		"a/policy.rego":       "package envoy.authz\n\nallow if data.a.edge\n",
		"a/orders.cases.yaml": "cases: 1\n",
		"a/users.cases.yml":   "cases: 2\n",
		"a/more.cases.json":   `{"cases": 3}`,
		"a/edge_cases.yaml":   "edge: true\n",
	})
	for name, config := range map[string]policy.Config{"files": {Files: []string{dir}}, "default": {Default: os.DirFS(dir)}} {
		e, err := policy.New(t.Context(), config)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Cleanup(func() { e.Close() })
		got, _, err := e.Document(t.Context(), "a", nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{"edge": true}, got); diff != "" {
			t.Errorf("%s: data.a (-want +got):\n%s", name, diff)
		}
	}
}
