package policies_test

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/sallyport/sallyport/policies"
)

// wantCoverage is in percent of the lines that can be evaluated.
const wantCoverage = 100

func TestRego(t *testing.T) {
	const patience = 4 * time.Minute // raced, on a machine with other work
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	modules := parse(t)
	tracer := cover.New()
	store := inmem.New()
	txn := storage.NewTransactionOrDie(ctx, store)
	results, err := tester.NewRunner().
		SetCompiler(ast.NewCompiler()).
		SetStore(store).
		SetModules(modules).
		SetCoverageQueryTracer(tracer).
		RaiseBuiltinErrors(true).
		SetTimeout(patience).
		RunTests(ctx, txn)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for result := range results {
		count++
		t.Run(result.Package+"."+result.Name, func(t *testing.T) { report(t, result) })
	}
	if count == 0 {
		t.Error("there are no Rego tests")
	}
	checkCoverage(t, tracer.Report(modules))
}

func report(t *testing.T, result *tester.Result) {
	if result.Pass() {
		return
	}
	t.Errorf("%v: failed: %v", result.Location, result.Error)
	for note, sub := range result.SubResults {
		if sub.Fail {
			t.Errorf("case %q", note)
		}
	}
}

func checkCoverage(t *testing.T, report cover.Report) {
	t.Helper()
	if report.Coverage >= wantCoverage {
		return
	}
	t.Errorf("the tests cover %.1f %% of the Rego, want %d %%", report.Coverage, wantCoverage)
	for name, file := range report.Files {
		for _, lines := range file.NotCovered {
			t.Errorf("%s:%d-%d is not covered", name, lines.Start.Row, lines.End.Row)
		}
	}
}

func TestFormat(t *testing.T) {
	for name, source := range sources(t) {
		want, err := format.Source(name, source)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(source, want) {
			t.Errorf("%s is not formatted as opa fmt does; want:\n%s", name, want)
		}
	}
}

func parse(t *testing.T) map[string]*ast.Module {
	t.Helper()
	modules := map[string]*ast.Module{}
	for name, source := range sources(t) {
		module, err := ast.ParseModuleWithOpts(name, string(source), ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			t.Fatal(err)
		}
		modules[name] = module
	}
	return modules
}

func sources(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := fs.WalkDir(policies.FS, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".rego" {
			return err
		}
		found[name], err = fs.ReadFile(policies.FS, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
