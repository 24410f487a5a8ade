package prove

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

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
