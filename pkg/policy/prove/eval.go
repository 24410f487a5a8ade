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
				inner.vars[e.Key.Value.(ast.Var)] = p[0] //nolint:errcheck // the compiler takes nothing else there
			}
			inner.vars[e.Value.Value.(ast.Var)] = p[1] //nolint:errcheck // likewise
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
