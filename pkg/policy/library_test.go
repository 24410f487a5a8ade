package policy_test

import (
	"bytes"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// lib is a little library: lib.names needs lib.parts, and lib.broken does not compile.
func lib() fs.FS {
	return fstest.MapFS{
		"lib/names/names.rego":      {Data: []byte("package lib.names\n\nimport data.lib.parts\n\nfirst(name) := parts.of(name)[0]\n\nkind := \"the library's\"")},
		"lib/names/names_test.rego": {Data: []byte("package lib.names_test\n\nthis is no Rego")},
		"lib/parts/parts.rego":      {Data: []byte("package lib.parts\n\nof(name) := split(name, \".\")")},
		"lib/broken/broken.rego":    {Data: []byte("package lib.broken\n\nallow if nowhere(1)")},
	}
}

// loaded makes an engine of files and the library, and tells how many modules it has.
func loaded(t *testing.T, config policy.Config) (e *policy.Engine, modules string) {
	t.Helper()
	var log bytes.Buffer
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	e, err := policy.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	_, modules, _ = strings.Cut(strings.TrimSpace(log.String()), "modules=")
	return e, modules
}

func TestLibrary(t *testing.T) {
	tests := []struct {
		name        string
		files       map[string]string
		data        map[string]any
		wantModules string
	}{
		{
			name:        "imported, with what it needs",
			files:       map[string]string{"a.rego": "package envoy.authz\n\nimport data.lib.names\n\nallow if names.first(\"a.b\") == \"a\""},
			wantModules: "3",
		},
		{
			name:        "imported under another name",
			files:       map[string]string{"a.rego": "package envoy.authz\n\nimport data.lib.names as n\n\nallow if n.first(\"a.b\") == \"a\""},
			wantModules: "3",
		},
		{
			name:        "a rule of it imported",
			files:       map[string]string{"a.rego": "package envoy.authz\n\nimport data.lib.names.kind\n\nallow if kind == \"the library's\""},
			wantModules: "3",
		},
		{
			name:        "without an import",
			files:       map[string]string{"a.rego": "package envoy.authz\n\nallow if data.lib.parts.of(\"a.b\") == [\"a\", \"b\"]"},
			wantModules: "2",
		},
		{
			name:        "in Rego v0",
			files:       map[string]string{"a.rego": "package envoy.authz\n\nimport data.lib.parts\n\nallow { parts.of(\"a.b\") == [\"a\", \"b\"] }"},
			wantModules: "2",
		},
		{
			name: "by a module that another one needs",
			files: map[string]string{
				"a.rego": "package envoy.authz\n\nallow if data.mine.ok",
				"b.rego": "package mine\n\nok if data.lib.parts.of(\"a\") == [\"a\"]",
			},
			wantModules: "3",
		},
		{
			name:        "not at all",
			files:       map[string]string{"a.rego": "package envoy.authz\n\nallow := true"},
			wantModules: "1",
		},
		{
			name: "a package of the policy's own",
			files: map[string]string{
				"a.rego": "package envoy.authz\n\nimport data.lib.names\n\nallow if {\n\tnames.kind == \"mine\"\n\tnot names.first\n}",
				"b.rego": "package lib.names\n\nkind := \"mine\"",
			},
			wantModules: "2",
		},
		{
			name: "a rule in its place",
			files: map[string]string{
				"a.rego": "package envoy.authz\n\nallow if data.lib.names == 1",
				"b.rego": "package lib\n\nnames := 1",
			},
			wantModules: "2",
		},
		{
			name:        "data in its place",
			files:       map[string]string{"a.rego": "package envoy.authz\n\nallow if data.lib.names.kind == \"data\""},
			data:        map[string]any{"lib": map[string]any{"names": map[string]any{"kind": "data"}}},
			wantModules: "1",
		},
		{
			name:        "a value above its place",
			files:       map[string]string{"a.rego": "package envoy.authz\n\nallow if data.lib == 1"},
			data:        map[string]any{"lib": 1},
			wantModules: "1",
		},
		{
			name: "its own beside one of the library's",
			files: map[string]string{
				"a.rego": "package envoy.authz\n\nimport data.lib.names\n\nallow if names.first(\"a.b\") == \"mine\"",
				"b.rego": "package lib.parts\n\nof(_) := [\"mine\"]",
			},
			wantModules: "3",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, modules := loaded(t, policy.Config{Files: []string{write(t, tt.files)}, Library: lib(), Data: tt.data})
			if modules != tt.wantModules {
				t.Errorf("%s modules, want %s", modules, tt.wantModules)
			}
			if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed {
				t.Errorf("got %+v, %v, want an allow", d, err)
			}
		})
	}
}

// TestLibraryMistakes names the place: in the policy, or in the library where that cannot be compiled.
func TestLibraryMistakes(t *testing.T) {
	for name, tt := range map[string]struct{ rego, want string }{
		"no such function": {"allow if data.lib.names.last(1)", "a.rego:3: rego_type_error: undefined function data.lib.names.last"},
		"no such package":  {"allow if data.lib.words.first(1)", "a.rego:3: rego_type_error: undefined function data.lib.words.first"},
		"a name that is computed, so that all is added": {"allow if {\n\tsome x in [\"parts\"]\n\tdata.lib[x]\n}", "<library>/lib/broken/broken.rego:3"},
		"a broken library": {"allow if data.lib.broken.allow", "<library>/lib/broken/broken.rego:3"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"a.rego": "package envoy.authz\n\n" + tt.rego})
			_, err := policy.New(t.Context(), policy.Config{Files: []string{dir}, Library: lib()})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestLibraryIsPartOfTheRevision(t *testing.T) {
	user := write(t, map[string]string{"a.rego": "package envoy.authz\n\nallow if data.lib.parts.of(\"a\") == [\"a\"]"})
	other := write(t, map[string]string{"a.rego": "package envoy.authz\n\nallow := true"})
	changed := fstest.MapFS{"lib/parts/parts.rego": {Data: []byte("package lib.parts\n\nof(_) := [\"a\"]")}}
	revision := func(dir string, library fs.FS) string {
		e, _ := loaded(t, policy.Config{Files: []string{dir}, Library: library})
		return e.Revision()
	}
	if a, b := revision(user, lib()), revision(user, changed); a == b {
		t.Errorf("another library has the same revision %q", a)
	}
	if a, b := revision(user, lib()), revision(user, lib()); a != b {
		t.Errorf("the same library has the revisions %q and %q", a, b)
	}
	if a, b := revision(other, lib()), revision(other, nil); a != b {
		t.Errorf("revisions %q and %q where the library is not used", a, b)
	}
}

// TestLibraryInBundles has a bundle that imports the library, then one that brings the package itself.
func TestLibraryInBundles(t *testing.T) {
	const user = "package envoy.authz\n\nimport data.lib.names\n\nallow := {\"allowed\": true, \"dynamic_metadata\": {\"kind\": names.kind}}"
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", rego: user, roots: []string{"envoy", "found", "lib"}}, nil))
	e, j := started(t, policy.Config{OPA: opa(r.URL, nil, nil), Library: lib()})
	j.await(t, "policy loaded revision=r1,")
	check(t, e, e.Revision(), map[string]any{"kind": "the library's"})
	r.serve(bundlePath, pack(t, content{revision: "r2", rego: user, roots: []string{"envoy", "found", "lib"}, data: map[string]any{"lib": map[string]any{"names": map[string]any{"kind": "the bundle's"}}}}, nil))
	j.await(t, "policy loaded revision=r2 ")
	check(t, e, "r2", map[string]any{"kind": "the bundle's"})
}

// TestLibraryInAnArchive has a bundle as a file.
func TestLibraryInAnArchive(t *testing.T) {
	archive := bundle(t, map[string]string{
		"/.manifest": `{"revision": "r7"}`, "/a.rego": "package envoy.authz\n\nallow if data.lib.parts.of(\"a\") == [\"a\"]",
	})
	e, _ := loaded(t, policy.Config{Files: []string{archive}, Library: lib()})
	if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed || !strings.HasPrefix(d.Revision, "r7,") {
		t.Errorf("got %+v, %v, want an allow of r7 and the library", d, err)
	}
}

// TestLibraryRoutes has a policy of one's own that decides by the shipped rules, and by more.
func TestLibraryRoutes(t *testing.T) {
	dir := write(t, map[string]string{"a.rego": `package envoy.authz

import data.sallyport.routes

default allow := false

allow if {
	input.path_ambiguous == false
	count(routes.admitting) > 0
	input.attributes.request.http.method == "GET"
}`})
	e, _ := loaded(t, policy.Config{
		Files: []string{dir}, Library: policies.Library,
		Data: map[string]any{"routes": []any{map[string]any{"path": "/orders/**", "tokens": []string{"users"}, "roles": []string{"clerk"}}}},
	})
	for _, tt := range []struct {
		path, method string
		id           authz.Identity
		want         bool
	}{
		{"/orders/1", "GET", clerk(), true},
		{"/orders/1", "POST", clerk(), false},
		{"/carts/1", "GET", clerk(), false},
		{"/orders/1", "GET", authz.Identity{}, false},
	} {
		req := get(t, tt.path)
		req.HTTP.Method = tt.method
		if d, err := e.Decide(t.Context(), req, tt.id); err != nil || d.Allowed != tt.want {
			t.Errorf("%s %s: got %+v, %v, want allowed %v", tt.method, tt.path, d, err, tt.want)
		}
	}
}

// TestLibraryHasNoEntrypoint: the shipped decision is a policy, not a part of others.
func TestLibraryHasNoEntrypoint(t *testing.T) {
	dir := write(t, map[string]string{"a.rego": "package mine\n\nallow if data.envoy.authz.allow.allowed"})
	_, err := policy.New(t.Context(), policy.Config{Files: []string{dir}, Library: policies.Library})
	if err == nil || !strings.Contains(err.Error(), "data.envoy.authz.allow is no rule of the policy") {
		t.Errorf("error %v, want that there is no entrypoint", err)
	}
}
