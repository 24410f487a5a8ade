package prove

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A frame is one body that is evaluated: the values of its variables, and what becomes of its solutions.
type frame struct {
	vars map[ast.Var]*ast.Term
	expr *ast.Expr   // that is evaluated now
	all  *collection // the solutions are collected; nil: one is enough
}

// errFound ends a search that has found what it looked for.
var errFound = errors.New("found")

func found() error { return errFound }

// exists tells whether a body has a solution: k is called with each until it returns errFound.
func (r *run) exists(f *frame, body ast.Body, k func() error) (bool, error) {
	err := r.body(&frame{vars: f.vars}, body, 0, k)
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// body calls k for each solution of a body from its i-th expression on.
func (r *run) body(f *frame, body ast.Body, i int, k func() error) error {
	if i == len(body) {
		return k()
	}
	if err := r.step(); err != nil {
		return err
	}
	e := body[i]
	r.enter(f, e)
	next := func() error {
		err := r.body(f, body, i+1, k)
		r.enter(f, e)
		return err
	}
	if len(e.With) > 0 {
		return r.obstacle("with is not looked into")
	}
	if !e.Negated {
		return r.expr(f, e, next)
	}
	err := r.expr(&frame{vars: f.vars, expr: e}, e, found)
	if err != nil {
		if errors.Is(err, errFound) {
			return nil
		}
		return err
	}
	r.enter(f, e)
	return next()
}

// enter notes which expression is evaluated.
func (r *run) enter(f *frame, e *ast.Expr) {
	f.expr = e
	if e.Location != nil && e.Location.File != "" {
		r.here = e.Location
	}
}

func (r *run) expr(f *frame, e *ast.Expr, k func() error) error {
	switch terms := e.Terms.(type) {
	case *ast.Term:
		return r.term(f, terms, func(v *ast.Term) error {
			isFalse, err := r.equal(v, ast.BooleanTerm(false))
			if err != nil || isFalse {
				return err
			}
			return k()
		})
	case *ast.Every:
		holds, err := r.every(f, terms)
		if err != nil || !holds {
			return err
		}
		return k()
	case []*ast.Term:
		if e.IsEquality() {
			return r.unify(f, terms[1], terms[2], k)
		}
		return r.call(f, terms, k)
	}
	return r.obstacle(fmt.Sprintf("an expression that is not known here: %T", e.Terms))
}

// term calls k for each value of a term.
func (r *run) term(f *frame, t *ast.Term, k func(*ast.Term) error) error {
	switch v := t.Value.(type) {
	case ast.Var:
		return r.variable(f, t, v, k)
	case ast.Ref:
		return r.ref(f, v, k)
	case *ast.Array:
		if v.IsGround() {
			return k(t)
		}
		return r.terms(f, elements(v), nil, func(values []*ast.Term) error { return k(ast.ArrayTerm(values...)) })
	case ast.Object:
		if v.IsGround() {
			return k(t)
		}
		return r.object(f, v, k)
	case ast.Set:
		if v.IsGround() {
			return k(t)
		}
		return r.terms(f, v.Slice(), nil, func(values []*ast.Term) error { return k(ast.SetTerm(values...)) })
	case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
		value, err := r.comprehension(f, t)
		if err != nil {
			return err
		}
		return k(value)
	case ast.Call:
		return r.obstacle("a call within a term")
	}
	return k(t)
}

func elements(a *ast.Array) []*ast.Term {
	out := make([]*ast.Term, 0, a.Len())
	a.Foreach(func(t *ast.Term) { out = append(out, t) })
	return out
}

func (r *run) variable(f *frame, t *ast.Term, v ast.Var, k func(*ast.Term) error) error {
	switch value := f.vars[v]; {
	case value != nil:
		return k(r.now(value))
	case strings.HasPrefix(string(v), mark):
		return k(r.now(t))
	case t.Equal(ast.InputRootDocument), t.Equal(ast.DefaultRootDocument):
		return r.ref(f, ast.Ref{t}, k)
	}
	return r.obstacle(fmt.Sprintf("the variable %v has no value yet", v))
}

// terms calls k with each combination of the values of some terms.
func (r *run) terms(f *frame, ts, values []*ast.Term, k func([]*ast.Term) error) error {
	if len(ts) == 0 {
		return k(values)
	}
	return r.term(f, ts[0], func(v *ast.Term) error {
		return r.terms(f, ts[1:], append(slices.Clone(values), v), k)
	})
}

func (r *run) object(f *frame, o ast.Object, k func(*ast.Term) error) error {
	var flat []*ast.Term
	o.Foreach(func(key, value *ast.Term) { flat = append(flat, key, value) })
	return r.terms(f, flat, nil, func(values []*ast.Term) error {
		out := ast.NewObject()
		for pair := range slices.Chunk(values, 2) {
			out.Insert(pair[0], pair[1])
		}
		return k(ast.NewTerm(out))
	})
}

// unify makes two terms the same.
func (r *run) unify(f *frame, a, b *ast.Term, k func() error) error {
	openA, openB := f.isOpen(a), f.isOpen(b)
	switch {
	case openA && openB:
		return r.unifyLists(f, a, b, k)
	case openB:
		a, b = b, a
		fallthrough
	case openA:
		return r.term(f, b, func(value *ast.Term) error { return r.match(f, a, value, k) })
	}
	return r.term(f, a, func(left *ast.Term) error {
		return r.term(f, b, func(right *ast.Term) error {
			same, err := r.equal(left, right)
			if err != nil || !same {
				return err
			}
			return k()
		})
	})
}

// isOpen tells whether a term is a pattern: it has variables without a value, outside of references.
func (f *frame) isOpen(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case ast.Var:
		return f.vars[v] == nil && !v.Equal(ast.InputRootDocument.Value) && !v.Equal(ast.DefaultRootDocument.Value) && !strings.HasPrefix(string(v), mark)
	case *ast.Array:
		return slices.ContainsFunc(elements(v), f.isOpen)
	case ast.Object:
		open := false
		v.Foreach(func(_, value *ast.Term) { open = open || f.isOpen(value) })
		return open
	}
	return false
}

func (r *run) unifyLists(f *frame, a, b *ast.Term, k func() error) error {
	left, isArray := a.Value.(*ast.Array)
	right, alsoArray := b.Value.(*ast.Array)
	if !isArray || !alsoArray {
		return r.obstacle("two patterns are compared")
	}
	if left.Len() != right.Len() {
		return nil
	}
	return r.unifyItems(f, elements(left), elements(right), k)
}

func (r *run) unifyItems(f *frame, a, b []*ast.Term, k func() error) error {
	if len(a) == 0 {
		return k()
	}
	return r.unify(f, a[0], b[0], func() error { return r.unifyItems(f, a[1:], b[1:], k) })
}

// bind gives a variable a value while k runs.
func (f *frame) bind(v ast.Var, value *ast.Term, k func() error) error {
	f.vars[v] = value
	err := k()
	delete(f.vars, v)
	return err
}

// match makes a pattern the same as a value.
func (r *run) match(f *frame, pattern, value *ast.Term, k func() error) error {
	if !f.isOpen(pattern) {
		return r.term(f, pattern, func(p *ast.Term) error {
			same, err := r.equal(p, value)
			if err != nil || !same {
				return err
			}
			return k()
		})
	}
	switch p := pattern.Value.(type) {
	case ast.Var:
		return f.bind(p, value, k)
	case *ast.Array:
		values, err := r.listOf(value, p.Len())
		if err != nil || values == nil {
			return err
		}
		return r.matchItems(f, elements(p), values, k)
	case ast.Object:
		return r.matchObject(f, p, value, k)
	}
	return r.obstacle("a pattern that is not known here")
}

// listOf are the items of a list of so many; nil where the value is another.
func (r *run) listOf(value *ast.Term, n int) ([]*ast.Term, error) {
	value = r.now(value)
	if list, ok := value.Value.(*ast.Array); ok && list.Len() == n {
		return append([]*ast.Term{}, elements(list)...), nil
	}
	s := r.symbolOf(value)
	if s == nil {
		return nil, nil
	}
	if long, err := r.longer(s, n); err != nil || !long {
		return nil, err
	}
	if more, err := r.longer(s, n+1); err != nil || more {
		return nil, err
	}
	out := make([]*ast.Term, n)
	for i := range out {
		var err error
		if out[i], err = r.child(s, ast.IntNumberTerm(i)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *run) matchItems(f *frame, patterns, values []*ast.Term, k func() error) error {
	if len(patterns) == 0 {
		return k()
	}
	return r.match(f, patterns[0], values[0], func() error { return r.matchItems(f, patterns[1:], values[1:], k) })
}

func (r *run) matchObject(f *frame, p ast.Object, value *ast.Term, k func() error) error {
	value = r.now(value)
	given, ok := value.Value.(ast.Object)
	if !ok {
		if r.symbolOf(value) == nil {
			return nil
		}
		return r.obstacle("an object that is not known is taken apart")
	}
	if given.Len() != p.Len() {
		return nil
	}
	var patterns, values []*ast.Term
	for _, key := range p.Keys() {
		member := given.Get(key)
		if member == nil {
			return nil
		}
		patterns, values = append(patterns, p.Get(key)), append(values, member)
	}
	return r.matchItems(f, patterns, values, k)
}

// every tells whether a body holds for all items of a list. Of a list that is not known it may or may not.
func (r *run) every(f *frame, e *ast.Every) (holds bool, err error) {
	holds = true
	err = r.term(f, e.Domain, func(domain *ast.Term) error {
		pairs, known, err := r.pairs(domain)
		if err != nil {
			return err
		}
		if !known {
			r.note("every, of a list that is not known")
			at, err := r.key(f, "every", e.Domain)
			holds = err == nil && r.assume(at+domain.String())
			return err
		}
		for _, p := range pairs {
			inner := &frame{vars: maps.Clone(f.vars)}
			if e.Key != nil {
				inner.vars[e.Key.Value.(ast.Var)] = p[0]
			}
			inner.vars[e.Value.Value.(ast.Var)] = p[1]
			ok, err := r.exists(inner, e.Body, found)
			if err != nil || !ok {
				holds = false
				return err
			}
		}
		return nil
	})
	return holds, err
}

// key names a place in the policy with the values that its variables have there. What follows from the
// place is the same wherever the key is.
func (r *run) key(f *frame, what string, at *ast.Term) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %p %p", what, f.expr, at)
	for _, name := range slices.Sorted(maps.Keys(f.vars)) {
		value, _ := r.plain(f.vars[name])
		if each := r.eachIn(value); each != nil {
			return "", &eachError{each}
		}
		fmt.Fprintf(&b, " %s=%s", name, value)
	}
	return b.String(), nil
}
