package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// rules walks rules of which one must hold.
func (w *walker) rules(rules []*ast.Rule, operands []*ast.Term, u use) {
	var guards []guard
	if u.sign == toDeny {
		guards = w.program.guards(rules)
	}
	for _, rule := range rules {
		for _, branch := range chain(rule) {
			w.branch(branch, operands, guards, u)
		}
	}
}

// branch walks one rule, or one of its else branches.
func (w *walker) branch(rule *ast.Rule, operands []*ast.Term, guards []guard, u use) {
	inner := use{scope: w.program.scope(rule, operands, u.scope), sign: u.sign, facts: u.facts}
	value := inner.decisionOf(rule.Head.Value)
	if value != nil && isFalse(value) {
		inner.sign = -inner.sign
	}
	if rule.Default || !w.isNew(rule, inner) {
		return
	}
	for _, g := range guards {
		if g.rule != rule && inner.sign == toDeny && g.covers(rule) {
			inner.facts = inner.facts.with(g.facts)
		}
	}
	w.body(rule.Body, inner)
	if inner.sign == toDeny {
		inner.facts = inner.facts.with(inner.established(rule.Body))
	}
	if value != nil {
		inner.at = rule.Location
		w.term(value, inner)
	}
}

// isNew tells whether a rule was not yet looked at in this way.
func (w *walker) isNew(rule *ast.Rule, u use) bool {
	var key strings.Builder
	fmt.Fprintf(&key, "%p %d", rule, u.sign)
	for _, fact := range util.KeysSorted(u.facts) {
		key.WriteString(" " + fact)
	}
	for _, arg := range rule.Head.Args {
		for _, c := range u.values(arg) {
			key.WriteString(" " + c.term.String())
		}
	}
	if w.seen[key.String()] || w.uses[rule] >= maxUses {
		return false
	}
	w.seen[key.String()] = true
	w.uses[rule]++
	return true
}

// A guard is a rule that denies where something is absent: "deny if not input.x". Where its other
// conditions are among those of another deny rule, that one may rely on input.x.
type guard struct {
	rule   *ast.Rule
	others []string
	facts  facts
}

func (p *program) guards(rules []*ast.Rule) []guard {
	var out []guard
	for _, rule := range rules {
		negated := -1
		var others []string
		for i, e := range rule.Body {
			if e.Negated && negated < 0 {
				negated = i
				continue
			}
			if !isRemark(e) {
				others = append(others, e.String())
			}
		}
		if negated < 0 || isFalse(rule.Head.Value) || len(rule.Head.Args) > 0 {
			continue
		}
		out = append(out, guard{rule, others, p.scope(rule, nil, nil).demanded(rule.Body[negated])})
	}
	return out
}

// isRemark tells an assignment that needs nothing of the request, such as that of a message.
func isRemark(e *ast.Expr) bool {
	terms := expressionTerms(e)
	if e.Negated || !isAssignment(terms) {
		return false
	}
	free := true
	for _, t := range terms[1:] {
		strict(t, func(sub *ast.Term) {
			ref, ok := refOf(sub)
			free = free && (!ok || !ref.HasPrefix(ast.InputRootRef) && !ref.HasPrefix(ast.DefaultRootRef))
		})
	}
	return free
}

func (g guard) covers(rule *ast.Rule) bool {
	return !slices.ContainsFunc(g.others, func(text string) bool {
		return !slices.ContainsFunc(rule.Body, func(e *ast.Expr) bool { return e.String() == text })
	})
}
