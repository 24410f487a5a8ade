package policy

import "github.com/open-policy-agent/opa/v1/ast"

// ruledOut tells whether data alone says that a rule never holds: its first condition is a constant that
// is undefined or false, so that nothing after it is looked at by any check.
func (s *snapshot) ruledOut(rule *ast.Rule) bool {
	if rule.Else != nil || len(rule.Body) == 0 || rule.Body[0].Negated || len(rule.Body[0].With) > 0 {
		return false
	}
	term, ok := rule.Body[0].Terms.(*ast.Term)
	if !ok {
		return false
	}
	ref, ok := term.Value.(ast.Ref)
	if !ok || !ref.HasPrefix(ast.DefaultRootRef) || !ref.IsGround() {
		return false
	}
	value, undefined := s.constants.values.Get(ref)
	return undefined || value != nil && value.Equal(ast.InternedTerm(false))
}

// replacesData tells whether any "with" replaces something other than input.
func (s *snapshot) replacesData() (found bool) {
	for _, module := range s.compiler.Modules {
		ast.WalkWiths(module, func(w *ast.With) bool {
			ref, ok := w.Target.Value.(ast.Ref)
			found = found || !ok || !ref.HasPrefix(ast.InputRootRef)
			return found
		})
	}
	return found
}
