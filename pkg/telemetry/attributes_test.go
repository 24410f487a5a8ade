package telemetry_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTable holds attributes.md against the names in the code: none is missing, none is made up.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("attributes.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, name := range regexp.MustCompile("`([a-z]+\\.[a-z0-9_.]+)`").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, name[1])
	}
	documented = append(documented, regexp.MustCompile(`sallyport\.jwks\.fetched`).FindString(string(text))) // in the picture
	documented = slices.DeleteFunc(documented, func(name string) bool {
		return slices.Contains([]string{"telemetry.clientTrace", "listen.admin", "dynamic_metadata.route", "dynamic_metadata.rule", "go.memory.used"}, name)
	})
	if diff := cmp.Diff(slices.Compact(slices.Sorted(slices.Values(constants(t, "attributes.go")))), slices.Compact(slices.Sorted(slices.Values(documented)))); diff != "" {
		t.Errorf("attributes.md (-code +page):\n%s", diff)
	}
}

// constants are the values of a file's constants of text.
func constants(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, value := range spec.Values {
			if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
		return true
	})
	return values
}
