package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A sign says where an expression leads to when it holds.
type sign int

const (
	toAllow sign = 1
	toDeny  sign = -1
)

// A walker follows the rules from an entrypoint.
type walker struct {
	program  *program
	findings *findings
	tokens   *tokens
	seen     map[string]bool // uses of rules
	uses     map[*ast.Rule]int
	decided  map[*ast.Rule]bool
}

// maxUses bounds in how many ways one rule is looked at.
const maxUses = 32

func newWalker(p *program, f *findings) *walker {
	return &walker{program: p, findings: f, tokens: newTokens(), seen: map[string]bool{}, uses: map[*ast.Rule]int{}, decided: map[*ast.Rule]bool{}}
}

// A use is one way in which a body is evaluated.
type use struct {
	*scope
	sign   sign
	facts  facts
	behind bool // a "not" of the same expression
	at     *ast.Location
}

// decision walks an entrypoint, which is a rule, a package with a rule "allowed", or an object that
// is made of several rules.
func (w *walker) decision(entrypoint ast.Ref) {
	rules, _ := w.program.find(entrypoint)
	w.decide(rules, use{sign: toAllow, facts: facts{}}, maxDepth)
	allowed := entrypoint.Append(ast.StringTerm("allowed"))
	rules, rest := w.program.find(allowed)
	if len(rest) == 0 {
		w.decide(rules, use{sign: toAllow, facts: facts{}}, maxDepth)
	}
}

// decide walks rules whose value is the decision.
func (w *walker) decide(rules []*ast.Rule, u use, depth int) {
	if depth == 0 {
		return
	}
	for _, rule := range rules {
		for _, branch := range chain(rule) {
			if !w.decided[branch] {
				w.decided[branch] = true
				w.decideBranch(branch, u, depth)
			}
		}
	}
	guards := w.program.guards(rules)
	for _, rule := range rules {
		for _, branch := range chain(rule) {
			w.branch(branch, nil, guards, u)
		}
	}
}

func (w *walker) decideBranch(rule *ast.Rule, u use, depth int) {
	inner := w.program.scope(rule, nil, nil)
	value := inner.decisionOf(rule.Head.Value)
	if value == nil {
		return
	}
	if value.Value.Compare(ast.Boolean(true)) == 0 && (rule.Default || isTrivial(rule.Body)) {
		w.openByDefault(rule)
		return
	}
	if ref, ok := refOf(value); ok {
		rules, _ := w.program.find(ref)
		w.decide(rules, use{sign: u.sign, facts: u.facts.with(inner.established(rule.Body))}, depth-1)
	}
}

// boundTo is what a variable is equal to, or the term itself.
func (s *scope) boundTo(t *ast.Term) *ast.Term {
	for range maxDepth {
		v, ok := t.Value.(ast.Var)
		if !ok || s.binds[v].term == nil || s.binds[v].part {
			break
		}
		t = s.binds[v].term
	}
	return t
}

// decisionOf is what says allow or deny in a value: itself, or the member "allowed".
func (s *scope) decisionOf(t *ast.Term) *ast.Term {
	if t == nil {
		return nil
	}
	t = s.boundTo(t)
	if said := s.united(t); said != nil {
		return said
	}
	if o, ok := t.Value.(ast.Object); ok {
		if t = o.Get(ast.InternedTerm("allowed")); t != nil {
			return s.boundTo(t)
		}
		return nil
	}
	return t
}

// united is what the last operand of object.union that is written out says of "allowed". The others,
// such as headers, are taken for what goes with the decision.
func (s *scope) united(t *ast.Term) *ast.Term {
	call, ok := t.Value.(ast.Call)
	if !ok || !isCall(call, ast.ObjectUnion) {
		return nil
	}
	for _, operand := range slices.Backward(call[1:]) {
		if o, ok := s.boundTo(operand).Value.(ast.Object); ok {
			if said := o.Get(ast.InternedTerm("allowed")); said != nil {
				return s.boundTo(said)
			}
		}
	}
	return nil
}

func (w *walker) openByDefault(rule *ast.Rule) {
	switch {
	case rule.Default:
		w.findings.add(defaultAllow, rule.Location, "the default of the decision is to allow: a request of which no rule speaks is let in")
	default:
		w.findings.add(defaultAllow, rule.Location, "the decision has a rule without a condition: everybody is let in")
	}
}

// isTrivial tells a body that always holds.
func isTrivial(body ast.Body) bool {
	for _, e := range body {
		terms := expressionTerms(e)
		if e.Negated || len(terms) == 0 {
			return false
		}
		switch {
		case len(terms) == 1 && ast.IsConstant(terms[0].Value) && !isFalse(terms[0]):
		case len(terms) == 3 && (isCall(terms, ast.Equal) || isCall(terms, ast.Equality)) &&
			ast.IsConstant(terms[1].Value) && terms[1].Equal(terms[2]):
		default:
			return false
		}
	}
	return true
}

// body walks a conjunction. What is to allow may rely on all of it; what is to deny on nothing that
// comes later, since a denial that has no value is none.
func (w *walker) body(body ast.Body, u use) {
	if u.sign == toAllow {
		u.facts = u.facts.with(u.established(body))
	}
	for _, e := range body {
		w.expr(e, u)
		if u.sign == toDeny && !e.Negated {
			u.facts = u.facts.with(u.ofExpr(e))
		}
	}
}

func (w *walker) expr(e *ast.Expr, u use) {
	u.at = e.Location
	if e.Negated {
		u.sign = -u.sign
	}
	u.behind = e.Negated && u.sign == toDeny
	switch terms := e.Terms.(type) {
	case *ast.Term:
		if call, ok := terms.Value.(ast.Call); ok {
			w.call(e, call, u)
			return
		}
		w.look(e, []*ast.Term{terms}, u)
		w.term(terms, u)
	case []*ast.Term:
		w.call(e, terms, u)
	case *ast.Every:
		w.every(e, terms, u)
	}
}

// term walks what must have a value for the expression to hold.
func (w *walker) term(t *ast.Term, u use) {
	switch v := t.Value.(type) {
	case ast.Var:
		if b, ok := u.binds[v]; ok && isComprehension(b.term) {
			w.term(b.term, u)
		}
	case ast.Ref:
		w.ref(t, v, u)
	case ast.Call:
		w.call(nil, v, u)
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { w.term(t, u) })
	case ast.Set:
		v.Foreach(func(t *ast.Term) { w.term(t, u) })
	case ast.Object:
		v.Foreach(func(key, value *ast.Term) { w.term(key, u); w.term(value, u) })
	case *ast.ArrayComprehension:
		w.body(v.Body, u)
	case *ast.SetComprehension:
		w.body(v.Body, u)
	case *ast.ObjectComprehension:
		w.body(v.Body, u)
	}
}

func isComprehension(t *ast.Term) bool {
	switch t.Value.(type) {
	case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
		return true
	}
	return false
}

// ref walks the rules that a reference reads, and looks whether the request may lack it.
func (w *walker) ref(t *ast.Term, ref ast.Ref, u use) {
	for _, part := range ref[1:] {
		w.term(part, u)
	}
	rules, rest := w.program.find(ref)
	isName := len(rules) == 0 || len(rest) > 0 || len(u.inputs(t)) > 0
	if u.sign == toDeny && isName && w.checkMissing(t, u) {
		return
	}
	w.rules(rules, nil, u)
}

// checkMissing reports a denial that does not happen where the request lacks what it asks for.
func (w *walker) checkMissing(t *ast.Term, u use) (reported bool) {
	for _, c := range u.inputs(t) {
		ref, _ := refOf(c.term)
		if p := placeOf(ref, c.scope); u.facts.lacks(p) {
			w.reportMissing(t, p.String(), u)
			return true
		}
	}
	ref, _ := refOf(t)
	if p, ok := u.memberOfInput(t); ok && !u.facts[p.key()] {
		w.reportMissing(t, u.asWritten(ref), u)
		return true
	}
	return false
}

// memberOfInput tells a member of a value that is made of the input, such as a claim of a decoded token.
func (s *scope) memberOfInput(t *ast.Term) (place, bool) {
	ref, ok := refOf(t)
	if !ok || len(ref) == 1 || len(s.inputs(t)) > 0 {
		return nil, false
	}
	if !ast.IsConstant(ref[len(ref)-1].Value) {
		return nil, false
	}
	base := ref[:1]
	if ref.HasPrefix(ast.DefaultRootRef) {
		rules, rest := s.program.find(ref)
		if len(rules) == 0 || len(rest) == 0 || rules[0].Head.Value == nil || len(rules[0].Head.Ref()) > 1 {
			return nil, false
		}
		base = ref[:len(ref)-len(rest)]
	}
	return place{ref.String()}, s.isOfInput(ast.NewTerm(base))
}

// asWritten is a reference with the name that the author gave its variable.
func (s *scope) asWritten(ref ast.Ref) string {
	v, ok := ref[0].Value.(ast.Var)
	if name, known := s.program.written[v]; ok && known {
		return slices.Concat(ast.Ref{ast.NewTerm(name)}, ref[1:]).String()
	}
	return ref.String()
}

func (w *walker) reportMissing(t *ast.Term, what string, u use) {
	at := cmp.Or(t.Location, u.at) // what the compiler made of "some x in" has no place
	if u.behind {
		w.findings.add(negatedUndefined, at, what+" may be missing from the request, and \"not\" takes that for an allow")
		return
	}
	w.findings.add(denyUndefined, at, what+" may be missing from the request; the denial then does not happen, and the request is allowed")
}

func splitDots(text string) []string { return strings.Split(text, ".") }
