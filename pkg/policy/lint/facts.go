package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// established are the places that are there where all expressions of a body hold.
func (s *scope) established(body ast.Body) facts {
	if len(body) == 0 || len(s.params) > 0 {
		return s.ofBody(body)
	}
	out, ok := s.program.bodies[body[0]]
	if !ok {
		out = s.ofBody(body)
		s.program.bodies[body[0]] = out
	}
	return out
}

func (s *scope) ofBody(body ast.Body) facts {
	out := facts{}
	for _, e := range body {
		out = out.with(s.ofExpr(e))
	}
	return out
}

// ofExpr are the places that are there where an expression holds.
func (s *scope) ofExpr(e *ast.Expr) facts {
	out := facts{}
	terms := expressionTerms(e)
	if e.Negated {
		return s.ofAbsence(terms)
	}
	for _, t := range terms {
		strict(t, func(sub *ast.Term) { out = out.with(s.ofTerm(sub)) })
	}
	if len(terms) > 0 {
		if op, ok := refOf(terms[0]); ok {
			out = out.with(s.ofRules(op, terms[1:], isFalse))
		}
	}
	s.ofStatus(terms, out)
	s.ofType(terms, out)
	if _, all := e.Terms.(*ast.Every); !all {
		s.ofCount(terms, out)
	}
	return out
}

// expressionTerms are the operator and the operands of an expression, or its only term.
func expressionTerms(e *ast.Expr) []*ast.Term {
	switch terms := e.Terms.(type) {
	case *ast.Term:
		if call, ok := terms.Value.(ast.Call); ok {
			return call
		}
		return []*ast.Term{terms}
	case []*ast.Term:
		return terms
	case *ast.Every:
		return []*ast.Term{terms.Domain}
	}
	return nil
}

// strict calls f with every reference and variable of a term without which it has no value. What stands
// in a comprehension may be missing.
func strict(t *ast.Term, f func(*ast.Term)) {
	ast.WalkTerms(t, func(sub *ast.Term) bool {
		switch v := sub.Value.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			return true
		case ast.Var:
			f(sub)
		case ast.Ref:
			f(sub)
			for _, part := range v[1:] {
				strict(part, f)
			}
			return true
		}
		return false
	})
}

// ofTerm are the places that are there where a term has a value.
func (s *scope) ofTerm(t *ast.Term) facts {
	out := facts{}
	ref, ok := refOf(t)
	if !ok {
		return out
	}
	places := s.inputs(t)
	if len(places) == 0 {
		out.add(place{ref.String()})
	}
	for i, c := range places {
		one := facts{}
		if r, ok := refOf(c.term); ok {
			one.add(placeOf(r, c.scope))
		}
		if i == 0 {
			out = one
		} else {
			out = out.both(one)
		}
	}
	return out.with(s.ofRules(ref, nil, func(*ast.Term) bool { return false }))
}

// ofRules are the places that are there where one of some rules has a value, but for those that are
// left out. A rule that collects has a value also where it collects nothing.
func (s *scope) ofRules(ref ast.Ref, operands []*ast.Term, leftOut func(value *ast.Term) bool) facts {
	rules, rest := s.program.find(ref)
	if len(rules) == 0 {
		return nil
	}
	key := s.keyOf(ref, operands) + strconv.FormatBool(leftOut(ast.BooleanTerm(false)))
	if known, ok := s.program.known[key]; ok {
		return known
	}
	if s.program.asked[rules[0]]++; s.program.asked[rules[0]] > maxUses {
		return nil
	}
	s.program.known[key] = nil // what asks for itself gets no answer
	out := s.ofEach(rules, rest, operands, leftOut)
	s.program.known[key] = out
	return out
}

// keyOf names a reference with its operands.
func (s *scope) keyOf(ref ast.Ref, operands []*ast.Term) string {
	var key strings.Builder
	key.WriteString(ref.String())
	for _, operand := range operands {
		key.WriteString("\x00" + s.text(operand))
	}
	return key.String() + "\x00"
}

func (s *scope) ofEach(rules []*ast.Rule, rest ast.Ref, operands []*ast.Term, leftOut func(*ast.Term) bool) facts {
	var out facts
	for _, rule := range rules {
		if len(rest) == 0 && (rule.Head.RuleKind() == ast.MultiValue || len(constantPrefix(rule.Head.Ref())) < len(rule.Head.Ref())) {
			return facts{}
		}
		for _, branch := range chain(rule) {
			if leftOut(branch.Head.Value) {
				continue
			}
			inner := s.program.scope(branch, operands, s)
			one := inner.established(branch.Body)
			if branch.Head.Value != nil {
				strict(branch.Head.Value, func(t *ast.Term) { one = one.with(inner.ofTerm(t)) })
			}
			if out == nil {
				out = one
			} else {
				out = out.both(one)
			}
		}
	}
	return out
}

func isFalse(t *ast.Term) bool {
	if t == nil {
		return false
	}
	if o, ok := t.Value.(ast.Object); ok {
		return isFalse(o.Get(ast.InternedTerm("allowed")))
	}
	return t.Value.Compare(ast.Boolean(false)) == 0
}

// ofAbsence are the places that are there where a negated reference to rules holds: those whose
// absence one of the rules speaks of, and of nothing else.
func (s *scope) ofAbsence(terms []*ast.Term) facts {
	out := facts{}
	if len(terms) == 0 {
		return out
	}
	ref, ok := refOf(terms[0])
	if !ok {
		return out
	}
	rules, _ := s.program.find(ref)
	for _, rule := range rules {
		if len(rule.Body) == 1 {
			out = out.with(s.program.scope(rule, terms[1:], s).demanded(rule.Body[0]))
		}
	}
	return out
}

// demanded are the places whose absence makes a negated expression hold.
func (s *scope) demanded(e *ast.Expr) facts {
	if !e.Negated {
		return facts{}
	}
	plain := *e
	plain.Negated = false
	return s.ofExpr(&plain)
}

// ofStatus adds what a token has whose status is "valid".
func (s *scope) ofStatus(terms []*ast.Term, out facts) {
	if len(terms) != 3 || !isCall(terms, ast.Equal) && !isCall(terms, ast.Equality) {
		return
	}
	for i, t := range terms[1:] {
		if terms[2-i].Value.Compare(ast.String("valid")) != 0 {
			continue
		}
		for _, c := range s.inputs(t) {
			ref, _ := refOf(c.term)
			p := placeOf(ref, c.scope)
			if len(p) != 3 || p[0] != "tokens" || p[2] != "status" {
				continue
			}
			for _, member := range ofValidToken {
				out.add(slices.Concat(p[:2], splitDots(member)))
			}
		}
	}
}
