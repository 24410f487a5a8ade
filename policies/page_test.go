package policies_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
)

const page = "README.md"

// A chapter of the page is a package of the library.
type chapter struct {
	Path, Title, Description string
	Functions                []function
}

type function struct {
	Title, Description string
	Examples           []example
}

// An example is a call and what it gives, a term or "undefined".
type example struct{ Call, Gives string }

// TestPage keeps the page up to date; with WRITE_PAGE it writes it.
func TestPage(t *testing.T) {
	text, err := template.ParseFiles("README.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := text.Execute(&want, chapters(t)); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("WRITE_PAGE") != "" {
		const everyone = 0o644 // source code
		if err := os.WriteFile(page, want.Bytes(), everyone); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want.String(), readPage(t)); diff != "" {
		t.Errorf("run go generate ./policies (-want +got):\n%s", diff)
	}
}

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// chapters reads the METADATA of the packages that have functions.
func chapters(t *testing.T) []chapter {
	t.Helper()
	var found []chapter
	for _, module := range parse(t) {
		c := chapter{Path: strings.TrimPrefix(module.Package.Path.String(), "data.")}
		for _, a := range module.Annotations {
			switch {
			case a.Scope == "package":
				c.Title, c.Description = a.Title, strings.TrimSpace(a.Description)
			case a.Custom["examples"] != nil:
				c.Functions = append(c.Functions, function{a.Title, strings.TrimSpace(a.Description), examples(t, a)})
			}
		}
		if len(c.Functions) > 0 {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b chapter) int { return strings.Compare(a.Path, b.Path) })
	return found
}

func examples(t *testing.T, a *ast.Annotations) []example {
	t.Helper()
	raw, err := json.Marshal(a.Custom["examples"])
	if err != nil {
		t.Fatal(err)
	}
	var found []example
	if err := json.Unmarshal(raw, &found); err != nil {
		t.Fatalf("%s: examples: %v", a.Title, err)
	}
	return found
}

// TestPageIsWhole has every function that others may call, with its arguments.
func TestPageIsWhole(t *testing.T) {
	text, count := readPage(t), 0
	for name, module := range parse(t) {
		_, pkg, _ := strings.Cut(module.Package.Path.String(), "data.sallyport.")
		for _, rule := range module.Rules {
			function := rule.Head.Name.String()
			if len(rule.Head.Args) == 0 || strings.HasPrefix(function, "_") || strings.HasSuffix(name, "_test.rego") {
				continue
			}
			count++
			_, rest, ok := strings.Cut(text, "\n### `"+pkg+"."+function+"(")
			arguments, rest, _ := strings.Cut(rest, ")`\n\n")
			if !ok || strings.Count(arguments, ",")+1 != len(rule.Head.Args) {
				t.Errorf("%s.%s is not on the page, with %d arguments", pkg, function, len(rule.Head.Args))
			}
			description, _, _ := strings.Cut(rest, "```rego\n"+pkg+"."+function+"(")
			if description == "" || strings.Contains(description, "#") {
				t.Errorf("%s.%s has no description, or no example", pkg, function)
			}
		}
	}
	if count < 30 {
		t.Errorf("%d functions found", count)
	}
}
