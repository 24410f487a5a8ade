package policy

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
)

// regoTimeout bounds one Rego test. The 5 s of "opa test" are too few on a machine that does much else.
const regoTimeout = 30 * time.Second

// A TestResult is what became of one Rego test. A test that neither passed, failed nor was skipped
// has an error.
type TestResult struct {
	Package  string // such as data.orders
	Name     string // such as test_reader
	File     string
	Line     int
	Passed   bool
	Skipped  bool // its name begins with todo_
	Err      error
	Cases    []string // of a test with cases, those that failed
	FailedAt *Place   // the expression that did not hold
	Printed  string   // by print()
	Duration time.Duration
}

// Test runs the Rego tests at paths, files named _test.rego and directories with such, on the policy
// that config describes. Run is a regular expression of names such as data.orders.test_reader; ""
// runs all. What the tests reach is added to config.Coverage. Results come in the order of the files.
//
// As in a check, a builtin that fails is an error, and builtins that the policy may not use do not
// exist.
func Test(ctx context.Context, config Config, paths []string, run string) ([]TestResult, error) {
	capabilities, err := config.Capabilities.OPA()
	if err != nil {
		return nil, err
	}
	src, err := readSource(config, capabilities)
	if err != nil {
		return nil, err
	}
	for _, name := range paths {
		if err := src.addTests(name); err != nil {
			return nil, fmt.Errorf("policy: load the tests in %s: %w", name, err)
		}
	}
	if err := src.addLibrary(); err != nil {
		return nil, fmt.Errorf("policy: load the library: %w", err)
	}
	for _, module := range src.modules {
		unindexed(module)
	}
	base := &snapshot{}
	if err := base.open(ctx, src.data); err != nil {
		return nil, err
	}
	results, err := base.test(ctx, src, func(r *tester.Runner) {
		r.Filter(run)
		if config.Coverage != nil {
			r.SetCoverageQueryTracer(config.Coverage.cover).SetCoverageRuns([]cover.Kind{})
		}
	})
	if err != nil {
		return nil, err
	}
	out := make([]TestResult, len(results))
	for i, r := range results {
		out[i] = testResult(r)
	}
	return out, base.locate(ctx, src, out)
}

// test runs the tests of a source, with the settings that set makes.
func (s *snapshot) test(ctx context.Context, src *source, set func(*tester.Runner)) ([]*tester.Result, error) {
	compiler := ast.NewCompiler().
		WithCapabilities(src.capabilities).
		WithEnablePrintStatements(true).
		WithPathConflictsCheck(storage.NonEmpty(ctx, s.store, s.txn))
	runner := tester.NewRunner().SetCompiler(compiler).SetStore(s.store).SetModules(src.modules).
		RaiseBuiltinErrors(true).SetTimeout(regoTimeout)
	set(runner)
	ch, err := runner.RunTests(ctx, s.txn)
	if compiler.Failed() {
		return nil, CompileError(compiler.Errors)
	}
	if err != nil {
		return nil, fmt.Errorf("policy: run the Rego tests: %w", err)
	}
	var results []*tester.Result
	for r := range ch {
		results = append(results, r)
	}
	slices.SortFunc(results, func(a, b *tester.Result) int {
		return cmp.Or(cmp.Compare(a.Location.File, b.Location.File), cmp.Compare(a.Location.Row, b.Location.Row), cmp.Compare(a.Name, b.Name))
	})
	return results, ctx.Err()
}

func testResult(r *tester.Result) TestResult {
	out := TestResult{
		Package: r.Package, Name: r.Name, File: r.Location.File, Line: r.Location.Row,
		Passed: r.Pass(), Skipped: r.Skip, Err: r.Error, Printed: string(r.Output), Duration: r.Duration,
	}
	for names, sub := range r.SubResults.Iter {
		if sub.Fail && len(sub.SubResults) == 0 {
			out.Cases = append(out.Cases, strings.Join(names, "/"))
		}
	}
	return out
}

// locate runs the tests that failed once more, with a trace that tells where they did.
func (s *snapshot) locate(ctx context.Context, src *source, results []TestResult) error {
	var failed []ast.Ref
	for _, r := range results {
		if !r.Passed && !r.Skipped && r.Err == nil {
			ref, err := ast.ParseRef(r.Package + "." + r.Name)
			if err == nil {
				failed = append(failed, ref)
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	traced, err := s.test(ctx, src, func(r *tester.Runner) { r.EnableTracing(true).SetPrefixMatchers(failed...) })
	if err != nil {
		return err
	}
	for _, r := range traced {
		seen := newTrace(nil)
		for _, event := range r.Trace {
			seen.TraceEvent(*event)
		}
		i := slices.IndexFunc(results, func(t TestResult) bool { return t.Package == r.Package && t.Name == r.Name })
		at := slices.IndexFunc(seen.rules, func(t Rule) bool { return t.File == r.Location.File && t.Line == r.Location.Row })
		if i >= 0 && at >= 0 {
			results[i].FailedAt = seen.rules[at].FailedAt
		}
	}
	return nil
}

// addTests adds the Rego tests of a file or directory, and nothing else of it.
func (s *source) addTests(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if !strings.HasSuffix(name, regoTest) {
			return nil
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return s.addModule(name, raw)
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if err := s.addTests(filepath.Join(name, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
