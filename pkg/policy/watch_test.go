package policy_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/policy"
)

// put writes a file as an editor does: a new one, renamed over the old.
func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+"~", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+"~", name); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	dir := write(t, map[string]string{"policy/allow.rego": showData, "policy/found/data.json": `{"a": 1}`, "one/more.json": `{"found": {"b": 1}}`})
	e, j := started(t, policy.Config{Files: []string{filepath.Join(dir, "policy"), filepath.Join(dir, "one/more.json")}})
	reloaded := func(want map[string]any) {
		t.Helper()
		j.await(t, "policy loaded")
		checkMetadata(t, e, want)
	}
	reloaded(map[string]any{"a": 1.0, "b": 1.0})

	put(t, filepath.Join(dir, "policy/found/data.json"), `{"a": 2}`)
	reloaded(map[string]any{"a": 2.0, "b": 1.0})
	put(t, filepath.Join(dir, "one/more.json"), `{"found": {"b": 2}}`)
	reloaded(map[string]any{"a": 2.0, "b": 2.0})

	sub := filepath.Join(dir, "policy/found/deep")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(sub, "data.json"), `{"c": 1}`)
	reloaded(map[string]any{"a": 2.0, "b": 2.0, "deep": map[string]any{"c": 1.0}})
	put(t, filepath.Join(sub, "data.json"), `{"c": 2}`)
	reloaded(map[string]any{"a": 2.0, "b": 2.0, "deep": map[string]any{"c": 2.0}})
	if err := os.RemoveAll(sub); err != nil {
		t.Fatal(err)
	}
	reloaded(map[string]any{"a": 2.0, "b": 2.0})
}

// TestWatchRefuses has new files that are no policy. The old one stays, and the next good one comes.
func TestWatchRefuses(t *testing.T) {
	dir := write(t, map[string]string{"allow.rego": showData, "data.json": `{"found": {"a": 1}}`})
	e, j := started(t, policy.Config{Files: []string{dir}})
	j.await(t, "policy loaded")
	old := e.Revision()
	for _, tt := range []struct{ rego, want string }{
		{"package envoy.authz\n\nallow if {", "allow.rego:3: rego_parse_error"},
		{"package envoy.authz\n\nallow if f(1)", "allow.rego:3: rego_type_error"},
		{"package envoy.authz\n\nallow if http.send({})", "allow.rego:3: http.send uses the network"},
		{"package envoy.other\n\nallow := true", "the entrypoint data.envoy.authz.allow is no rule of the policy"},
		{"package envoy.authz\n\nallow if other\n\nother if allow", "allow.rego:3: rego_recursion_error"},
	} {
		put(t, filepath.Join(dir, "allow.rego"), tt.rego)
		if line := j.await(t, "policy refused, the old one stays"); !strings.Contains(line, tt.want) {
			t.Errorf("%s, want %q in it", line, tt.want)
		}
		check(t, e, old, map[string]any{"a": 1.0})
	}
	put(t, filepath.Join(dir, "allow.rego"), showData+"\n# new\n")
	j.await(t, "policy loaded")
	if e.Revision() == old {
		t.Error("the revision is the old one")
	}
	if got := e.Loads(); got.Loaded != 2 || got.Refused < 5 {
		t.Errorf("%+v, want 2 loaded and 5 refused, or more where one was tried twice", got)
	}
}

// TestWatchConfigMap swaps the link that Kubernetes swaps, for a directory and for a single file.
func TestWatchConfigMap(t *testing.T) {
	for name, file := range map[string]string{"directory": ".", "file": "allow.rego"} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"..1/allow.rego": showData, "..2/allow.rego": showData + "\n# new\n"})
			link := func(target, name string) {
				t.Helper()
				if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			link("..1", "..data")
			link("..data/allow.rego", "allow.rego")
			e, j := started(t, policy.Config{Files: []string{filepath.Join(dir, file)}, Data: found(1)})
			j.await(t, "policy loaded")
			old := e.Revision()
			link("..2", "..data_tmp")
			if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
				t.Fatal(err)
			}
			j.await(t, "policy loaded")
			if e.Revision() == old {
				t.Error("the revision is the old one")
			}
		})
	}
}

// TestWatchReleases swaps a link above the configured directory.
func TestWatchReleases(t *testing.T) {
	dir := write(t, map[string]string{"1/policy/allow.rego": showData, "2/policy/allow.rego": showData + "\n# new\n"})
	if err := os.Symlink("1", filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
	_, j := started(t, policy.Config{Files: []string{filepath.Join(dir, "current/policy")}, Data: found(1)})
	j.await(t, "policy loaded")
	if err := os.Symlink("2", filepath.Join(dir, "next")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
	j.await(t, "policy loaded")
}

// TestWatchBundleFile has a new archive with the revision of the old one.
func TestWatchBundleFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "bundle.tar.gz")
	put(t, file, string(pack(t, content{revision: "r1", data: found(1)}, nil)))
	e, j := started(t, policy.Config{Files: []string{file}})
	j.await(t, "policy loaded")
	put(t, file, string(pack(t, content{revision: "r1", data: found(2)}, nil)))
	j.await(t, "policy loaded")
	check(t, e, "r1", map[string]any{"a": 2.0})
}

// Watch tells of changes until its context ends, also of files that were not there.
func TestWatchTellsOfChanges(t *testing.T) {
	dir := write(t, map[string]string{"a.rego": "package a\n"})
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan struct{}, 1), make(chan error)
	go func() {
		done <- policy.Watch(ctx, []string{dir}, func(context.Context) {
			select {
			case changes <- struct{}{}:
			default:
			}
		})
	}()
	for n := 0; ; n++ { // until the directory is watched, nothing is noticed
		if err := os.WriteFile(filepath.Join(dir, "new.cases.yaml"), []byte{byte('0' + n%10)}, 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changes:
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			return
		case <-time.After(300 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("no change was noticed")
		}
	}
}
