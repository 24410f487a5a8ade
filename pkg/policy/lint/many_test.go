package lint_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/lint"
)

// TestForeignModules lints the Rego that comes with OPA's source: its examples, and the modules of its
// conformance tests, one of every ten. Whatever they say, the linter comes back.
func TestForeignModules(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Skip("no go command to find OPA's source:", err)
	}
	read, linted := 0, 0
	err = filepath.WalkDir(strings.TrimSpace(string(dir)), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		for _, text := range regoIn(t, name) {
			if read++; read%10 == 0 && lintText(text) {
				linted++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if linted < 400 {
		t.Errorf("%d modules were linted, want more", linted)
	}
	t.Logf("%d modules", linted)
}

// regoIn is the Rego of a file: its own, or that of the test cases in it.
func regoIn(t *testing.T, name string) []string {
	t.Helper()
	isCases := strings.Contains(name, "/test/cases/testdata/") && strings.HasSuffix(name, ".yaml")
	if !isCases && !strings.HasSuffix(name, ".rego") {
		return nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !isCases {
		return []string{string(raw)}
	}
	var file struct {
		Cases []struct {
			Modules []string `json:"modules"`
		} `json:"cases"`
	}
	if err := util.Unmarshal(raw, &file); err != nil {
		return nil // a case about broken YAML
	}
	var all []string
	for _, c := range file.Cases {
		all = append(all, c.Modules...)
	}
	return all
}

// lintText lints a module, every rule of which is an entrypoint. It tells whether it compiles.
func lintText(text string) bool {
	module, err := ast.ParseModuleWithOpts("m.rego", text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		if module, err = ast.ParseModuleWithOpts("m.rego", text, ast.ParserOptions{RegoVersion: ast.RegoV0}); err != nil {
			return false
		}
	}
	if module == nil {
		return false
	}
	r := &policy.Reading{Modules: map[string]*ast.Module{"m.rego": module}, Capabilities: ast.CapabilitiesForThisVersion()}
	for _, rule := range module.Rules {
		r.Entrypoints = append(r.Entrypoints, module.Package.Path.Extend(rule.Head.Ref().GroundPrefix()))
	}
	_, err = lint.Run(r)
	return err == nil
}

func FuzzRun(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.rego", "../../../policies/*/*/*.rego"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			f.Fatal(names, err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(raw))
		}
	}
	f.Fuzz(func(t *testing.T, text string) { lintText(text) })
}
