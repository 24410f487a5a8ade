package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// unindexed keeps OPA's rule index away from calls that can fail.
//
// The index leaves out rules of which it knows that they cannot hold. To it startswith(x, "a") is
// known not to hold where x is no string, so that the rule is not evaluated and nothing fails: with
// "deny if startswith(input.x, "a")" such an x would be let through. With its result written out,
// as in startswith(x, "a", true), the same call means the same and the index leaves it alone.
func unindexed(module *ast.Module) {
	ast.WalkExprs(module, func(e *ast.Expr) bool {
		if terms, ok := e.Terms.([]*ast.Term); ok && failsUnseen(e.Operator(), len(e.Operands())) {
			e.Terms = append(slices.Clip(terms), ast.BooleanTerm(true).SetLocation(e.Location))
		}
		return false
	})
}

// failsUnseen lists the calls that the index reads and that fail on operands of another type.
func failsUnseen(operator ast.Ref, operands int) bool {
	for _, b := range []*ast.Builtin{ast.StartsWith, ast.EndsWith, ast.GlobMatch, ast.AnyPrefixMatch, ast.AnySuffixMatch} {
		if operator.Equal(b.Ref()) && operands == len(b.Decl.FuncArgs().Args) {
			return true
		}
	}
	return false
}
