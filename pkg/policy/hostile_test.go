package policy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// An entry of an archive. Its size may be a lie.
type entry struct {
	tar.Header
	text string
}

func file(name, text string) entry {
	return entry{tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}, text}
}

func link(name, to string, kind byte) entry {
	return entry{tar.Header{Name: name, Linkname: to, Typeflag: kind}, ""}
}

// archive writes entries as they are, with an end only where nothing is missing.
func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Close() // fails where an entry is shorter than it says
	return raw.Bytes()
}

func zip(t testing.TB, raw []byte) []byte {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}

func hostileBundles(t *testing.T) map[string]hostileBundle {
	rego, manifest := file("/authz.rego", showData), file("/.manifest", `{"revision": "bad", "roots": [""]}`)
	whole := zip(t, archive(t, manifest, rego, file("/found/data.json", `{"a": 1}`)))
	lying := func(size int64) entry {
		e := file("/found/data.json", `{"a": 1}`)
		e.Size = size
		return e
	}
	laughs := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		laughs += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	return map[string]hostileBundle{
		"whole":                      {whole, ""}, // else the others prove nothing
		"empty":                      {nil, "EOF"},
		"no archive":                 {[]byte("no archive"), "gzip"},
		"no tar":                     {zip(t, []byte(strings.Repeat("no tar ", 200))), "tar"},
		"cut":                        {whole[:len(whole)/2], "EOF"},
		"of eight exbibytes":         {zip(t, archive(t, manifest, rego, lying(1<<63-1))), "size"},
		"of four gibibytes":          {zip(t, archive(t, manifest, rego, lying(4<<30))), "size"},
		"longer than it is":          {zip(t, archive(t, manifest, rego, lying(1<<20))), "EOF"},
		"no Rego":                    {zip(t, archive(t, manifest)), "Rego"},
		"a manifest of rubbish":      {zip(t, archive(t, file("/.manifest", "{"), rego)), "manifest"},
		"a manifest of another type": {zip(t, archive(t, file("/.manifest", `{"revision": 7}`), rego)), "manifest"},
		"a manifest of another Rego": {zip(t, archive(t, file("/.manifest", `{"revision": "bad", "rego_version": 99}`), rego)), "rego-version"},
		"roots that overlap":         {zip(t, archive(t, file("/.manifest", `{"roots": ["a", "a/b"]}`), rego)), "overlap"},
		"outside of its roots":       {zip(t, archive(t, file("/.manifest", `{"revision": "bad", "roots": ["elsewhere"]}`), rego)), "roots"},
		"signatures of rubbish":      {zip(t, archive(t, manifest, rego, file("/found/data.json", `{"a": 1}`), file("/.signatures.json", "{"))), ""},
		"data twice":                 {zip(t, archive(t, manifest, rego, file("/data.json", `{"found": {"a": 2}}`), file("/found/data.json", `{"a": 1}`))), "insert"},
		"a module twice":             {zip(t, archive(t, manifest, rego, file("/authz.rego", showData), file("/found/data.json", `{"a": 1}`))), ""},
		"data of a list":             {zip(t, archive(t, manifest, rego, file("/data.json", `[1]`))), "object"},
		"data of great depth":        {zip(t, archive(t, manifest, rego, file("/found/data.json", strings.Repeat("[", 1<<20)))), "depth"},
		"Rego of great depth":        {zip(t, archive(t, manifest, file("/authz.rego", "package envoy.authz\n\nallow := "+strings.Repeat("[", 1<<20)))), "authz.rego"},
		"laughing YAML":              {zip(t, archive(t, manifest, rego, file("/found/data.yaml", laughs))), "alias"},
		"a name above":               {zip(t, archive(t, manifest, file("../../escaped.rego", showData), file("/found/data.json", `{"a": 1}`))), ""},
		"a name of another place":    {zip(t, archive(t, manifest, file("/etc/cron.d/authz.rego", showData), file("/found/data.json", `{"a": 1}`))), ""},
		"data above":                 {zip(t, archive(t, manifest, rego, file("../../found/data.json", `{"a": 1}`), file("/found/data.json", `{"a": 1}`))), "insert"},
		"a symbolic link":            {zip(t, archive(t, manifest, rego, link("/found/data.json", "/etc/passwd", tar.TypeSymlink), file("/found/data.json", `{"a": 1}`))), ""},
		"a hard link":                {zip(t, archive(t, manifest, rego, link("/found/data.json", "/etc/passwd", tar.TypeLink), file("/found/data.json", `{"a": 1}`))), ""},
		"a device":                   {zip(t, archive(t, manifest, rego, link("/found/data.json", "", tar.TypeChar), file("/found/data.json", `{"a": 1}`))), ""},
	}
}

// A hostileBundle and what the error says; "": it is loaded, and data.found.a is 1.
type hostileBundle struct {
	bytes []byte
	want  string
}

// TestHostileBundleFiles has each as a file: it is refused with its name, or is what it says, and touches
// nothing beside itself.
func TestHostileBundleFiles(t *testing.T) {
	for name, b := range hostileBundles(t) {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"a/b/bundle.tar.gz": string(b.bytes)})
			e, err := policy.New(t.Context(), policy.Config{Files: []string{filepath.Join(dir, "a/b/bundle.tar.gz")}})
			switch {
			case b.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case b.want == "":
				checkMetadata(t, e, map[string]any{"a": 1.0})
			case err == nil:
				t.Error("loaded")
			case !strings.Contains(err.Error(), "bundle.tar.gz") && b.want != "Rego" || !strings.Contains(err.Error(), b.want):
				t.Errorf("refused with %v, want %q", err, b.want)
			}
			only(t, dir, "a/b/bundle.tar.gz")
		})
	}
}

// only wants one file in a directory.
func only(t *testing.T, dir, want string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && name != filepath.Join(dir, want) {
			t.Errorf("there is %s now", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestHostileBundleServer has a bundle server send some, one after the other, to a server that keeps its
// bundles on disk: what cannot be read changes nothing, and what can is written to its own place alone.
func TestHostileBundleServer(t *testing.T) {
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r0", data: found(1)}, nil))
	dir := t.TempDir()
	e, j := started(t, policy.Config{OPA: opa(r.URL, map[string]any{"persist": true}, map[string]any{"persistence_directory": dir})})
	j.await(t, "policy loaded revision=r0")
	bundles := hostileBundles(t)
	for _, name := range []string{"cut", "of eight exbibytes", "laughing YAML", "data above"} {
		r.serve(bundlePath, bundles[name].bytes)
		j.await(t, " failed: ")
		check(t, e, "r0", map[string]any{"a": 1.0})
	}
	r.serve(bundlePath, bundles["a name above"].bytes)
	j.await(t, "policy loaded revision=bad")
	check(t, e, "bad", map[string]any{"a": 1.0})
	only(t, dir, "bundles/authz/bundle.tar.gz")
}

// FuzzBundle loads archives: the bytes of the tar, so that they get past the checksum of gzip, or of
// the whole. Whatever they are, they are refused, or make a policy that answers.
func FuzzBundle(f *testing.F) {
	whole := archive(f, file("/.manifest", `{"revision": "r", "roots": [""], "rego_version": 1}`),
		file("/authz/allow.rego", showData), file("/found/data.json", `{"a": 1}`), file("/more/data.yaml", "b: [1, 2]"))
	f.Add(whole, true)
	f.Add(zip(f, whole), false)
	f.Add(archive(f, file("/.manifest", `{"revision": "old", "rego_version": 0}`), file("/a.rego", "package envoy.authz\n\nallow { true }")), true)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		broken := bytes.Clone(whole)
		for range 1 + random.IntN(4) {
			broken[random.IntN(len(broken))] = byte(random.Uint32())
		}
		f.Add(broken, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, raw []byte, tarred bool) {
		if tarred {
			raw = zip(t, raw)
		}
		dir := write(t, map[string]string{"bundle.tar.gz": string(raw)})
		e, err := policy.New(t.Context(), policy.Config{Files: []string{filepath.Join(dir, "bundle.tar.gz")}})
		if err != nil {
			return
		}
		defer e.Close()
		if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil && d.Allowed {
			t.Errorf("an allow beside an error: %v", err)
		}
	})
}
