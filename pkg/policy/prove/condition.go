package prove

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// conditionPackage is that of the rule that a condition becomes.
const conditionPackage = "sallyport_never"

// ConditionPath is the entrypoint of a condition, for the engine that confirms an example.
const ConditionPath = conditionPackage + "/holds"

// A Condition is what must not hold of a request that is allowed: the body of a rule.
type Condition struct {
	Text string
	Line int // of its file where it begins; 0 is 1

	// Entrypoint is that of the policy, "a/b/allow": its package, data.a.b, can be spoken of as b.
	Entrypoint string

	// Library are the packages of the library, such as sallyport/tokens, which can be spoken of as tokens.
	Library []string
}

// Module is the condition as the text of a module, in which it stands on the lines that it has in its file.
func (c Condition) Module() string {
	var imports []string
	var named []string
	segments := strings.Split(strings.Trim(c.Entrypoint, "/"), "/")
	for _, path := range append([]string{strings.Join(segments[:len(segments)-1], "/")}, c.Library...) {
		parts := strings.Split(path, "/")
		name := parts[len(parts)-1]
		spoken := regexp.MustCompile(`(^|[^\w."])` + regexp.QuoteMeta(name) + `\.`)
		if !isName.MatchString(name) || slices.Contains(named, name) || !spoken.MatchString(c.Text) {
			continue
		}
		named = append(named, name)
		imports = append(imports, "import "+refOf(parts).String()+" ")
	}
	lines := strings.Repeat("\n", max(c.Line-1, 0))
	return fmt.Sprintf("%spackage %s %sholds if { %s\n}\n", lines, conditionPackage, strings.Join(imports, ""), c.Text)
}

var isName = regexp.MustCompile(`^[a-zA-Z_]\w*$`)

func refOf(path []string) ast.Ref {
	ref := ast.Ref{ast.DefaultRootDocument}
	for _, part := range path {
		ref = append(ref, ast.StringTerm(part))
	}
	return ref
}

// Rule is the rule that a condition becomes.
func Rule() ast.Ref { return refOf(strings.Split(ConditionPath, "/")) }
