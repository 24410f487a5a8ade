package prove

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/policy"
)

// SlotsOf are the token slots that a policy speaks of, for where no configuration names them: those after
// input.tokens in its rules, and those that lists named "tokens" in its data hold, as in the routes of the
// shipped policy.
func SlotsOf(p *policy.Program) []string {
	names := map[string]bool{}
	prefix := ast.MustParseRef("input.tokens")
	for _, module := range p.Compiler.Modules {
		ast.WalkRefs(module, func(ref ast.Ref) bool {
			if ref.HasPrefix(prefix) && len(ref) > len(prefix) {
				if name, ok := ref[len(prefix)].Value.(ast.String); ok {
					names[string(name)] = true
				}
			}
			return false
		})
	}
	ast.WalkTerms(ast.NewTerm(p.Data), func(t *ast.Term) bool {
		o, ok := t.Value.(ast.Object)
		if !ok {
			return false
		}
		if list := o.Get(ast.StringTerm("tokens")); list != nil {
			if items, ok := list.Value.(*ast.Array); ok {
				items.Foreach(func(item *ast.Term) {
					if name, ok := item.Value.(ast.String); ok {
						names[string(name)] = true
					}
				})
			}
		}
		return false
	})
	return slices.Sorted(maps.Keys(names))
}
