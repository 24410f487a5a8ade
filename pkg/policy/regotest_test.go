package policy_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

const testedPolicy = `package orders

allow if {
	input.user == data.admins[_]
	print("user", input.user)
}

unreached if {
	input.never
}
`

func TestRegoTests(t *testing.T) {
	dir := write(t, map[string]string{
		"orders.rego":         testedPolicy,
		"data.yaml":           "admins: [ann]\n",
		"orders.cases.yaml":   "cases: []\n", // no data
		".hidden/x_test.rego": "package broken {",
		"sub/orders_test.rego": `package orders_test

import data.orders

test_ann if orders.allow with input as {"user": "ann"}

test_bob if {
	x := {"user": "bob"}
	orders.allow with input as x
}

test_fails if to_number(data.admins[0])

todo_test_later if false

test_cases[note] if {
	some note, user in {"good": "ann", "bad": "eve"}
	orders.allow with input.user as user
}
`,
	})
	coverage := policy.NewCoverage()
	config := policy.Config{Files: []string{dir}, Coverage: coverage}
	got, err := policy.Test(t.Context(), config, []string{dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sub/orders_test.rego")
	want := []policy.TestResult{
		{Name: "test_ann", Line: 5, Passed: true, Printed: "user ann\n"},
		{Name: "test_bob", Line: 7, FailedAt: &policy.Place{File: file, Line: 9, Text: "orders.allow with input as x"}},
		{Name: "test_fails", Line: 12, Err: cmpopts.AnyError},
		{Name: "todo_test_later", Line: 14, Skipped: true},
		{Name: "test_cases", Line: 16, Cases: []string{"bad"}, Printed: "user ann\n", FailedAt: got[4].FailedAt},
	}
	for i := range want {
		want[i].File, want[i].Package = file, "data.orders_test"
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(policy.TestResult{}, "Duration"), cmpopts.EquateErrors()}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	checkCoverage(t, coverage, config, filepath.Join(dir, "orders.rego"))
	some, err := policy.Test(t.Context(), config, []string{file}, `test_a`)
	if err != nil || len(some) != 1 || some[0].Name != "test_ann" {
		t.Errorf("with a filter: %v, %v", some, err)
	}
}

func checkCoverage(t *testing.T, coverage *policy.Coverage, config policy.Config, file string) {
	t.Helper()
	report, err := coverage.Report(config)
	if err != nil {
		t.Fatal(err)
	}
	lines := func(from, to int) policy.LineRange {
		return policy.LineRange{Start: policy.Row{Row: from}, End: policy.Row{Row: to}}
	}
	want := policy.CoverageReport{CoveredLines: 3, NotCoveredLines: 2, Coverage: 60, Files: map[string]policy.FileCoverage{file: {
		Covered: []policy.LineRange{lines(3, 5)}, NotCovered: []policy.LineRange{lines(8, 9)},
		CoveredLines: 3, NotCoveredLines: 2, Coverage: 60,
	}}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("coverage (-want +got):\n%s", diff)
	}
}

// Checks count for the coverage too, and only where they come.
func TestCoverageOfChecks(t *testing.T) {
	config := policy.Config{Coverage: policy.NewCoverage()}
	rules := "allow if {\n\tcount(input.version) > 0\n\tcount(input.parsed_path) > 5\n\tinput.version\n}\n"
	e := configured(t, rules, config)
	if _, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); authz.ReasonOf(err) != authz.PolicyUndefined {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{"policy.rego": "package envoy.authz\n\n" + rules})
	t.Chdir(dir)
	config.Files = []string{"policy.rego"}
	report, err := config.Coverage.Report(config)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]policy.LineRange{{Start: policy.Row{Row: 3}, End: policy.Row{Row: 3}}, {Start: policy.Row{Row: 6}, End: policy.Row{Row: 6}}}, report.Files["policy.rego"].NotCovered); diff != "" {
		t.Errorf("not covered (-want +got):\n%s", diff)
	}
}

func TestRegoTestsRefuse(t *testing.T) {
	const rule = "package a\n\nallow if true\n"
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{name: "a syntax error", files: map[string]string{"a.rego": rule, "a_test.rego": "package a\n\ntest_x if {"}, want: "a_test.rego:3"},
		{name: "an unknown function", files: map[string]string{"a.rego": rule, "a_test.rego": "package a\n\ntest_x if f(1)"}, want: "a_test.rego:3"},
		{name: "the network", files: map[string]string{"a.rego": rule, "a_test.rego": "package a\n\ntest_x if http.send({})"}, want: "allowNet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := write(t, tt.files)
			_, err := policy.Test(t.Context(), policy.Config{Files: []string{dir}}, []string{dir}, "")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that holds %q", err, tt.want)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	var printed strings.Builder
	e := configured(t, "allow if {\n\tprint(\"at\", input.parsed_path[0], input.nothing)\n}", policy.Config{Print: &printed})
	if d, err := e.Decide(t.Context(), get(t, "/x"), authz.Identity{}); err != nil || !d.Allowed {
		t.Errorf("got %+v, %v, want an allow", d, err)
	}
	if d, err := e.Decide(t.Context(), get(t, "/x"), authz.Identity{}); err != nil || !d.Allowed {
		t.Errorf("once more: got %+v, %v, want an allow", d, err)
	}
	if _, err := e.Explain(t.Context(), get(t, "/y"), authz.Identity{}); err != nil {
		t.Error(err)
	}
	if want := "at x <undefined>\nat x <undefined>\nat y <undefined>\n"; printed.String() != want {
		t.Errorf("printed %q, want each check once: %q", printed.String(), want)
	}
}
