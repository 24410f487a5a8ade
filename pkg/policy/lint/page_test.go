package lint_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/lint"
)

// TestPage holds policies/LINT.md to what the linter does: it explains every kind, the first example of
// a kind has that fault, and the last one has none.
func TestPage(t *testing.T) {
	raw, err := os.ReadFile("../../../policies/LINT.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, section := range strings.Split(string(raw), "\n## ")[1:] {
		id, text, _ := strings.Cut(section, "\n")
		explained[id] = true
		t.Run(id, func(t *testing.T) {
			examples := examples(text)
			if len(examples) != 2 {
				t.Fatalf("%d examples, want the fault and the way out", len(examples))
			}
			if found := lintExample(t, examples[0]); !slices.ContainsFunc(found, func(f lint.Finding) bool { return f.Rule == id }) {
				t.Errorf("the fault is not found: %+v", found)
			}
			if found := lintExample(t, examples[1]); len(found) > 0 {
				t.Errorf("the way out has findings: %+v", found)
			}
		})
	}
	for _, kind := range lint.Kinds() {
		if !explained[kind.ID] {
			t.Errorf("%s is not explained", kind.ID)
		}
	}
	if len(explained) != len(lint.Kinds()) {
		t.Errorf("%d kinds are explained, want %d", len(explained), len(lint.Kinds()))
	}
}

func examples(text string) []string {
	var all []string
	for _, part := range strings.Split(text, "```rego\n")[1:] {
		example, _, _ := strings.Cut(part, "```")
		all = append(all, example)
	}
	return all
}

func lintExample(t *testing.T, rules string) []lint.Finding {
	t.Helper()
	head := "package envoy.authz\n\nimport input.attributes.request.http\n\n"
	if !strings.Contains(rules, "default allow") {
		head += "default allow := false\n\n"
	}
	return run(t, policy.Config{Capabilities: hosts(), Default: fstest.MapFS{"example.rego": {Data: []byte(head + rules)}}})
}
