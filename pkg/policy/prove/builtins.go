package prove

import (
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// errUnhandled says that nothing better is known of a builtin than the type of its result.
var errUnhandled = errors.New("not handled")

// A handler is a builtin for operands that are not all known; nil is undefined.
type handler func(r *run, operands []*ast.Term) (*ast.Term, error)

// handlers are the builtins that are looked into.
var handlers = map[string]handler{
	"equal": func(r *run, o []*ast.Term) (*ast.Term, error) { return truth(r.equal(o[0], o[1])) },
	"neq":   func(r *run, o []*ast.Term) (*ast.Term, error) { return not(r.equal(o[0], o[1])) },
	"lt":    func(r *run, o []*ast.Term) (*ast.Term, error) { return truth(r.less(o[0], o[1], false)) },
	"lte":   func(r *run, o []*ast.Term) (*ast.Term, error) { return truth(r.less(o[0], o[1], true)) },
	"gt":    func(r *run, o []*ast.Term) (*ast.Term, error) { return truth(r.less(o[1], o[0], false)) },
	"gte":   func(r *run, o []*ast.Term) (*ast.Term, error) { return truth(r.less(o[1], o[0], true)) },

	"internal.member_2": memberOf,
	"count":             count,

	"is_null":    func(r *run, o []*ast.Term) (*ast.Term, error) { return r.isOf(o[0], null) },
	"is_boolean": func(r *run, o []*ast.Term) (*ast.Term, error) { return r.isOf(o[0], boolean) },
	"is_number":  func(r *run, o []*ast.Term) (*ast.Term, error) { return r.isOf(o[0], number) },
	"is_string":  func(r *run, o []*ast.Term) (*ast.Term, error) { return r.isOf(o[0], text) },
	"is_array":   func(r *run, o []*ast.Term) (*ast.Term, error) { return r.isOf(o[0], array) },
	"is_object":  func(r *run, o []*ast.Term) (*ast.Term, error) { return r.isOf(o[0], object) },
	"is_set":     func(r *run, o []*ast.Term) (*ast.Term, error) { return r.isOf(o[0], set) },

	"startswith":  func(r *run, o []*ast.Term) (*ast.Term, error) { return r.test("startswith", o, 0) },
	"endswith":    func(r *run, o []*ast.Term) (*ast.Term, error) { return r.test("endswith", o, 0) },
	"contains":    func(r *run, o []*ast.Term) (*ast.Term, error) { return r.test("contains", o, 0) },
	"regex.match": func(r *run, o []*ast.Term) (*ast.Term, error) { return r.test("regex.match", o, 1) },
	"glob.match":  func(r *run, o []*ast.Term) (*ast.Term, error) { return r.test("glob.match", o, 2) },

	"array.slice":  slice,
	"array.concat": concat,
	"object.get":   get,
	"object.keys":  keys,
	"object.union": union,
	"minus":        minus,
	"and":          intersection,
	"or":           both,
}

func truth(b bool, err error) (*ast.Term, error) { return ast.BooleanTerm(b), err }

func not(b bool, err error) (*ast.Term, error) { return ast.BooleanTerm(!b), err }

func (r *run) isOf(value *ast.Term, k kinds) (*ast.Term, error) {
	if s := r.symbolOf(value); s != nil {
		return truth(r.is(s, k))
	}
	return truth(kindOf(value.Value) == k, nil)
}

func memberOf(r *run, o []*ast.Term) (*ast.Term, error) {
	if s := r.symbolOf(o[1]); s != nil {
		return truth(r.has(s, o[0]))
	}
	pairs, _, err := r.pairs(o[1])
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		if same, err := r.equal(p[1], o[0]); err != nil || same {
			return truth(same, err)
		}
	}
	return ast.BooleanTerm(false), nil
}

// count is the number of items, a symbol of its own where that is not known.
func count(r *run, o []*ast.Term) (*ast.Term, error) {
	s := r.symbolOf(o[0])
	if s == nil {
		return r.countOf(o[0])
	}
	countable, err := r.is(s, text|array|object|set)
	if err != nil || !countable {
		return nil, err
	}
	if s.kinds == object && s.shape.rest == nil {
		pairs, _, err := r.items(s)
		return ast.IntNumberTerm(len(pairs)), err
	}
	n := r.symbol("count("+s.name+")", &shape{kinds: number})
	n.countOf = s
	return n.term(), nil
}

// countOf is the number of items of a value with some that are not known: those of a set, and the keys of an
// object, may be the same.
func (r *run) countOf(t *ast.Term) (*ast.Term, error) {
	var items []*ast.Term
	switch v := t.Value.(type) {
	case *ast.Array:
		return ast.IntNumberTerm(v.Len()), nil
	case ast.Object:
		items = v.Keys()
	case ast.Set:
		items = v.Slice()
	}
	different := 0
	for i, item := range items {
		again := false
		for _, before := range items[:i] {
			same, err := r.equal(before, item)
			if err != nil {
				return nil, err
			}
			if again = same; again {
				break
			}
		}
		if !again {
			different++
		}
	}
	return ast.IntNumberTerm(different), nil
}

// slice is array.slice of a list that is not known, from its beginning.
func slice(r *run, o []*ast.Term) (*ast.Term, error) {
	s := r.symbolOf(o[0])
	from, okFrom := whole(o[1])
	to, okTo := whole(o[2])
	if s == nil || !okFrom || !okTo {
		return nil, errUnhandled
	}
	isArray, err := r.is(s, array)
	if err != nil || !isArray {
		return nil, err
	}
	out := []*ast.Term{}
	for i := max(from, 0); i < to; i++ {
		item, err := r.child(s, ast.IntNumberTerm(i))
		if err != nil {
			return nil, err
		}
		if item == nil {
			break
		}
		out = append(out, item)
	}
	return ast.ArrayTerm(out...), nil
}

func whole(t *ast.Term) (int, bool) {
	n, ok := t.Value.(ast.Number)
	if !ok {
		return 0, false
	}
	return n.Int()
}

func concat(_ *run, o []*ast.Term) (*ast.Term, error) {
	a, ok := o[0].Value.(*ast.Array)
	b, also := o[1].Value.(*ast.Array)
	if !ok || !also {
		return nil, errUnhandled
	}
	return ast.ArrayTerm(append(elements(a), elements(b)...)...), nil
}

// get is object.get, with a key or a list of them.
func get(r *run, o []*ast.Term) (*ast.Term, error) {
	path := []*ast.Term{o[1]}
	if list, ok := o[1].Value.(*ast.Array); ok {
		path = elements(list)
	}
	at := o[0]
	if s := r.symbolOf(at); s != nil {
		isObject, err := r.is(s, object)
		if err != nil || !isObject {
			return nil, err
		}
	} else if kindOf(at.Value) != object {
		return nil, nil
	}
	for _, key := range path {
		var err error
		if at, err = r.lookUp(at, key); err != nil {
			return nil, err
		}
		if at == nil {
			return o[2], nil
		}
		at = r.now(at)
	}
	return at, nil
}

func keys(r *run, o []*ast.Term) (*ast.Term, error) {
	s := r.symbolOf(o[0])
	if s == nil || s.kinds != object || s.shape.rest != nil {
		return nil, errUnhandled
	}
	pairs, _, err := r.items(s)
	if err != nil {
		return nil, err
	}
	out := ast.NewSet()
	for _, p := range pairs {
		out.Add(p[0])
	}
	return ast.NewTerm(out), nil
}

// union is object.union of objects whose keys are known, as far as their members are not both objects.
func union(_ *run, o []*ast.Term) (*ast.Term, error) {
	a, ok := o[0].Value.(ast.Object)
	b, also := o[1].Value.(ast.Object)
	if !ok || !also || !groundKeys(a) || !groundKeys(b) {
		return nil, errUnhandled
	}
	out := ast.NewObject()
	a.Foreach(func(key, value *ast.Term) { out.Insert(key, value) })
	for _, key := range b.Keys() {
		if before := a.Get(key); before != nil && kindOf(before.Value)&scalar == 0 {
			return nil, errUnhandled
		}
		out.Insert(key, b.Get(key))
	}
	return ast.NewTerm(out), nil
}

// member tells whether a value is in a set of any form.
func (r *run) in(value, of *ast.Term) (bool, error) {
	t, err := memberOf(r, []*ast.Term{value, of})
	if err != nil {
		return false, err
	}
	return t.Equal(ast.BooleanTerm(true)), nil
}

// isSet tells whether an operand is a set.
func (r *run) isSet(t *ast.Term) (bool, error) {
	if s := r.symbolOf(t); s != nil {
		return r.is(s, set)
	}
	return kindOf(t.Value) == set, nil
}

// minus is the difference of sets; of numbers nothing is known.
func minus(r *run, o []*ast.Term) (*ast.Term, error) {
	items, ok := o[0].Value.(ast.Set)
	if !ok {
		return nil, errUnhandled
	}
	return r.filter(items, o[1], func(there bool) bool { return !there })
}

func intersection(r *run, o []*ast.Term) (*ast.Term, error) {
	for i := range o {
		if items, ok := o[i].Value.(ast.Set); ok {
			return r.filter(items, o[1-i], func(there bool) bool { return there })
		}
	}
	return nil, errUnhandled
}

// filter are the items of a set that are in another, or are not.
func (r *run) filter(items ast.Set, of *ast.Term, keep func(bool) bool) (*ast.Term, error) {
	isSet, err := r.isSet(of)
	if err != nil || !isSet {
		return nil, err
	}
	out := ast.NewSet()
	for _, item := range items.Slice() {
		there, err := r.in(item, of)
		if err != nil {
			return nil, err
		}
		if keep(there) {
			out.Add(item)
		}
	}
	return ast.NewTerm(out), nil
}

// both is the union of two sets.
func both(r *run, o []*ast.Term) (*ast.Term, error) {
	c := &collection{}
	for _, t := range o {
		isSet, err := r.isSet(t)
		if err != nil || !isSet {
			return nil, err
		}
		if items, ok := t.Value.(ast.Set); ok {
			c.items = append(c.items, items.Slice()...)
			continue
		}
		s := r.symbolOf(t)
		if each := r.eachIn(t); each != nil {
			return nil, &eachError{each}
		}
		if c.items, c.lists = append(c.items, s.items...), append(c.lists, s.lists...); !s.whole {
			c.lists = append(c.lists, s)
		}
	}
	return r.set(c, fmt.Sprintf("or(%s)", list(o))), nil
}
