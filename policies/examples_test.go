package policies_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// TestPageExamples evaluates what the page says of each function.
func TestPageExamples(t *testing.T) {
	library, found := compiled(t, ""), examplesOf(t)
	for call, gives := range found {
		var want any
		if gives != "undefined" {
			want = evaluate(t, library, gives, nil, map[string]any{})
		}
		if diff := cmp.Diff(want, evaluate(t, library, call, nil, map[string]any{})); diff != "" {
			t.Errorf("%s (-page +got):\n%s", call, diff)
		}
	}
	if len(found) < 60 {
		t.Errorf("the page has %d examples", len(found))
	}
}

// examplesOf reads the page's examples: a call, and below it what it gives.
func examplesOf(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, block := range blocks(t) {
		if strings.HasPrefix(block, "package ") {
			continue
		}
		for pair := range slices.Chunk(strings.Split(strings.TrimSuffix(block, "\n"), "\n"), 2) {
			if len(pair) != 2 || !strings.HasPrefix(pair[1], "# ") {
				t.Fatalf("%q is no call with what it gives", pair)
			}
			found[pair[0]] = pair[1][len("# "):]
		}
	}
	return found
}

// TestBadArguments puts what is no argument in the place of each: nothing then holds, and nothing fails.
func TestBadArguments(t *testing.T) {
	library, count := compiled(t, ""), 0
	for call, gives := range examplesOf(t) {
		if gives != "true" {
			continue
		}
		expr := ast.MustParseExpr(call)
		for i := range expr.Operands() {
			for _, bad := range []string{"null", "true", `""`, "[]", "[null]", "-1", "input.nothing"} {
				changed := expr.Copy()
				changed.Terms.([]*ast.Term)[i+1] = ast.MustParseTerm(bad)
				count++
				if got := evaluate(t, library, changed.String(), nil, map[string]any{}); got != nil {
					t.Errorf("%v gives %v", changed, got)
				}
			}
		}
	}
	if count < 300 {
		t.Errorf("%d calls", count)
	}
}

// TestPagePolicies asks the policies of the page, in their order, about a request that each allows, and
// about changes of it that each denies.
func TestPagePolicies(t *testing.T) {
	refund := map[string]any{
		"attributes": map[string]any{"request": map[string]any{
			"http": map[string]any{"method": "POST", "headers": map[string]any{"content-type": "application/json"}},
			"time": map[string]any{"seconds": 1700040600},
		}},
		"parsed_path": []any{"orders", "7", "refund"}, "path_ambiguous": false,
		"parsed_body": map[string]any{"amount": 10}, "truncated_body": false,
		"source": map[string]any{"principal": "spiffe://cluster.local/ns/shop/sa/web"},
		"tokens": map[string]any{"users": map[string]any{"status": "valid", "claims": map[string]any{
			"roles": []any{"clerk"}, "auth_time": 1700040000,
		}}},
	}
	data := map[string]any{
		"office_hours": []any{map[string]any{"weekdays": []any{"monday:friday"}, "location": "Europe/Zurich"}},
		"routes":       []any{map[string]any{"path": "/orders/**", "tokens": []any{"users"}, "max_age": "15m"}},
	}
	late := map[string]any{"attributes": map[string]any{"request": map[string]any{
		"http": map[string]any{"method": "POST"}, "time": map[string]any{"seconds": 1700050000},
	}}}
	denied := [][]struct {
		changes map[string]any
		want    any
	}{
		{
			{map[string]any{"parsed_body": map[string]any{"amount": 1001}}, false},
			{map[string]any{"truncated_body": true}, false},
			{map[string]any{"path_ambiguous": true}, false},
			{map[string]any{"source": map[string]any{}}, false},
			{map[string]any{"tokens": map[string]any{}}, false},
			{map[string]any{"attributes": nil}, false},
		},
		{
			{map[string]any{"path_ambiguous": true}, map[string]any{"allowed": false}},
			{late, map[string]any{"allowed": false, "reason": "routes[0] /orders/**: lacks max_age 900", "max_age": json.Number("900")}},
		},
		{
			{late, map[string]any{"allowed": false, "max_age": json.Number("900")}},
			{map[string]any{"tokens": map[string]any{}}, map[string]any{"allowed": false}},
		},
	}
	texts := slices.DeleteFunc(blocks(t), func(block string) bool { return !strings.HasPrefix(block, "package ") })
	if len(texts) != len(denied) {
		t.Fatalf("the page has %d policies, want %d", len(texts), len(denied))
	}
	for i, text := range texts {
		policy := compiled(t, text)
		if got := evaluate(t, policy, "data.envoy.authz.allow", refund, data); got != true && !isAllow(got) {
			t.Errorf("policy %d: got %v, want an allow", i, got)
		}
		for _, tt := range denied[i] {
			input := maps.Clone(refund)
			maps.Copy(input, tt.changes)
			if diff := cmp.Diff(tt.want, evaluate(t, policy, "data.envoy.authz.allow", input, data)); diff != "" {
				t.Errorf("policy %d: %v (-want +got):\n%s", i, tt.changes, diff)
			}
		}
	}
}

func isAllow(answer any) bool {
	object, ok := answer.(map[string]any)
	return ok && object["allowed"] == true
}

// blocks lists the page's Rego: policies and examples.
func blocks(t *testing.T) []string {
	t.Helper()
	var found []string
	parts := strings.Split(readPage(t), "```rego\n")
	for _, part := range parts[1:] {
		block, _, _ := strings.Cut(part, "```\n")
		found = append(found, block)
	}
	return found
}

// compiled is the library and a policy beside it.
func compiled(t *testing.T, policy string) *ast.Compiler {
	t.Helper()
	modules := parse(t)
	maps.DeleteFunc(modules, func(name string, _ *ast.Module) bool {
		return !strings.HasPrefix(name, "sallyport/") || strings.HasSuffix(name, "_test.rego")
	})
	if policy != "" {
		modules[page] = ast.MustParseModule(policy)
	}
	compiler := ast.NewCompiler().WithStrict(true)
	if compiler.Compile(modules); compiler.Failed() {
		t.Fatal(compiler.Errors)
	}
	return compiler
}

// evaluate gives the value of a query, nil where it is undefined.
func evaluate(t *testing.T, compiler *ast.Compiler, query string, input, data map[string]any) any {
	t.Helper()
	var imports []string
	for _, module := range compiler.Modules {
		imports = append(imports, module.Package.Path.String())
	}
	results, err := rego.New(
		rego.Query("value := "+query), rego.Compiler(compiler), rego.Imports(imports), rego.Input(input),
		rego.Store(inmem.NewFromObject(data)), rego.StrictBuiltinErrors(true),
	).Eval(t.Context())
	if err != nil {
		t.Errorf("%s: %v", query, err)
	}
	if len(results) == 0 {
		return nil
	}
	return results[0].Bindings["value"]
}
