package prove

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/sallyport/sallyport/pkg/policy"
)

// folders are those of OPA's conformance tests that are about the language rather than builtins.
var folders = []string{
	"aggregates", "array", "assignments", "baseandvirtualdocs", "comparisonexpr", "completedoc", "compositereferences",
	"comprehensions", "containskeyword", "dataderef", "defaultkeyword", "disjunction", "elsekeyword", "embeddedvirtualdoc",
	"eqexpr", "evaltermexpr", "every", "functions", "indexing", "indirectreferences", "inputvalues", "negation",
	"nestedreferences", "objectget", "partialdocconstants", "partialiter", "partialobjectdoc", "partialsetdoc", "refheads",
	"sets", "varreferences", "virtualdocs", "walkbuiltin",
}

// Where nothing is unknown the evaluation here is OPA's: it gives what OPA's own evaluator gives, for OPA's
// conformance tests, or says that it does not understand. PROVE_CONFORMANCE=all takes those of all builtins too.
func TestEvaluatesAsOPA(t *testing.T) {
	counts := map[string]int{}
	for _, c := range conformanceCases(t) {
		counts[compareWithOPA(t, c)]++
	}
	t.Log(counts)
	if counts["same true"] < 300 || counts["same false"] < 50 {
		t.Errorf("few cases were compared: %v", counts)
	}
}

func conformanceCases(t *testing.T) []cases.TestCase {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(strings.TrimSpace(string(dir)), "v1/test/cases/testdata/v1")
	wanted := folders
	if os.Getenv("PROVE_CONFORMANCE") == "all" {
		wanted = []string{"."}
	}
	var all []cases.TestCase
	for _, folder := range wanted {
		found, err := cases.Load(filepath.Join(root, folder))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found.Sorted().Cases...)
	}
	return all
}

// compareWithOPA tells what became of a case.
func compareWithOPA(t *testing.T, c cases.TestCase) string {
	t.Helper()
	compiler := compileCase(c)
	text := strings.Join(c.Modules, "") + c.Query
	noInput := c.Input == nil && c.InputTerm == nil
	if compiler == nil || noInput && strings.Contains(text, "input") || strings.Contains(text, "http.send") || strings.Contains(text, "net.lookup") {
		return "left out"
	}
	data, input := map[string]any{}, ast.ObjectTerm()
	if c.Data != nil {
		data = *c.Data
	}
	root, err := ast.InterfaceToValue(data)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case c.InputTerm != nil:
		input = ast.MustParseTerm(*c.InputTerm)
	case c.Input != nil:
		value, err := ast.InterfaceToValue(*c.Input)
		if err != nil {
			t.Fatal(err)
		}
		input = ast.NewTerm(value)
	}
	store := inmem.NewFromObject(data)
	txn := storage.NewTransactionOrDie(t.Context(), store)
	results, err := topdown.NewQuery(ast.MustParseBody("data.asked.p = x")).WithCompiler(compiler).WithStore(store).WithTransaction(txn).WithInput(input).Run(t.Context())
	if err != nil {
		return "an error" // which denies
	}
	p := &prover{Question: &Question{Program: &policy.Program{Compiler: compiler}}, compiler: compiler, root: ast.NewTerm(root), constants: map[*ast.TreeNode]known{}}
	r := p.newRun(t.Context(), nil)
	r.input = input
	got, err := r.isTrue(ast.MustParseRef("data.asked.p"))
	var obstacle *Obstacle
	switch want := len(results) > 0; {
	case errors.As(err, &obstacle):
		return "not understood"
	case err != nil:
		t.Errorf("%s: %v", c.Note, err)
	case len(r.path) > 0 || len(r.notes) > 0:
		return "unknown"
	case got != want:
		t.Errorf("%s: %v, want %v:\n%s\n%s", c.Note, got, want, c.Query, strings.Join(c.Modules, "\n"))
	default:
		return fmt.Sprint("same ", got)
	}
	return "wrong"
}

// compileCase is the policy of a case, with its query as a rule; nil where that cannot be.
func compileCase(c cases.TestCase) *ast.Compiler {
	options := ast.ParserOptions{AllFutureKeywords: true}
	query, err := ast.ParseBodyWithOpts(c.Query, options)
	if err != nil {
		return nil
	}
	asked := ast.MustParseModule("package asked\np if true")
	asked.Rules[0].Body = query
	modules := map[string]*ast.Module{"asked": asked}
	for i, text := range c.Modules {
		name := fmt.Sprintf("%d.rego", i)
		if modules[name], err = ast.ParseModuleWithOpts(name, text, options); err != nil {
			return nil
		}
	}
	compiler := ast.NewCompiler()
	if compiler.Compile(modules); compiler.Failed() {
		return nil
	}
	return compiler
}
