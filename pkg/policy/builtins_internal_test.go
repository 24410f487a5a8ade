package policy

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
)

// TestDeterministicBuiltins holds the list of the builtins that always answer the same. A builtin
// that a new OPA brings must be judged by somebody: the memo, and what is computed at load, rest on
// it. UPDATE_GOLDEN=1 writes the list anew; read the difference.
func TestDeterministicBuiltins(t *testing.T) {
	const golden = "testdata/deterministic.txt"
	var names []string
	for _, b := range ast.Builtins {
		if !isNondeterministic(b.Name) {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	got := strings.Join(names, "\n") + "\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("builtins that always answer the same (-want +got):\n%s", diff)
	}
}
