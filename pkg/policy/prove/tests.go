package prove

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// test is a builtin that asks something of a text, which is the i-th operand; the others are known.
func (r *run) test(name string, operands []*ast.Term, i int) (*ast.Term, error) {
	s := r.symbolOf(operands[i])
	t := test{builtin: name, operand: slices.Clone(operands)}
	t.operand[i] = nil
	for j, o := range operands {
		if _, known := r.plain(o); j != i && !known || j == i && s == nil {
			return nil, errUnhandled
		}
	}
	isText, err := r.is(s, text)
	if err != nil || !isText {
		return nil, err
	}
	if _, err := results(name, t.with(ast.StringTerm(""))); err != nil {
		return nil, nil //nolint:nilerr // such as a pattern that is none: undefined, whatever the text
	}
	if holds, known := s.tested(t); known {
		return ast.BooleanTerm(holds), nil
	}
	t.holds = r.ask()
	s.tests = append(s.tests, t)
	return ast.BooleanTerm(t.holds), nil
}

// with are the operands with a text in the place of the symbol.
func (t test) with(value *ast.Term) []*ast.Term {
	out := slices.Clone(t.operand)
	out[slices.Index(out, nil)] = value
	return out
}

// try tells whether a test holds for a value.
func (r *run) try(t test, value *ast.Term) bool {
	out, err := results(t.builtin, t.with(value))
	return err == nil && len(out) == 1 && out[0].Equal(ast.BooleanTerm(true))
}

// constant is the text that startswith, endswith and contains look for.
func (t test) constant() string {
	for _, o := range t.operand {
		if o != nil {
			v, _ := o.Value.(ast.String)
			return string(v)
		}
	}
	return ""
}

func (t test) same(u test) bool {
	return t.builtin == u.builtin && slices.EqualFunc(t.operand, u.operand, func(a, b *ast.Term) bool {
		return a == nil && b == nil || a != nil && b != nil && a.Equal(b)
	})
}

// tested tells what follows of a test from those that are decided.
func (s *symbol) tested(t test) (holds, known bool) {
	for _, u := range s.tests {
		if t.same(u) {
			return u.holds, true
		}
		if u.holds && u.implies(t) {
			return true, true
		}
		if !u.holds && t.implies(u) || u.holds && t.excludes(u) {
			return false, true
		}
	}
	return false, false
}

// implies tells whether one test of a text holds where another does.
func (t test) implies(u test) bool {
	a, b := t.constant(), u.constant()
	switch {
	case t.builtin == u.builtin && t.builtin == "startswith":
		return strings.HasPrefix(a, b)
	case t.builtin == u.builtin && t.builtin == "endswith":
		return strings.HasSuffix(a, b)
	case u.builtin == "contains" && (t.builtin == "startswith" || t.builtin == "endswith" || t.builtin == "contains"):
		return strings.Contains(a, b)
	}
	return false
}

// excludes tells whether two tests cannot both hold.
func (t test) excludes(u test) bool {
	a, b := t.constant(), u.constant()
	switch {
	case t.builtin != u.builtin:
		return false
	case t.builtin == "startswith":
		return !strings.HasPrefix(a, b) && !strings.HasPrefix(b, a)
	case t.builtin == "endswith":
		return !strings.HasSuffix(a, b) && !strings.HasSuffix(b, a)
	}
	return false
}
