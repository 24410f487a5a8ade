package prove

import (
	"cmp"
	"math"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// plain is a term with everything in it that is known by now, and whether that is all of it.
func (r *run) plain(t *ast.Term) (*ast.Term, bool) {
	t = r.now(t)
	switch v := t.Value.(type) {
	case ast.Var:
		return t, false
	case *ast.Array:
		if v.IsGround() {
			return t, true
		}
		out, ground := make([]*ast.Term, v.Len()), true
		for i := range out {
			var known bool
			out[i], known = r.plain(v.Elem(i))
			ground = ground && known
		}
		return ast.ArrayTerm(out...), ground
	case ast.Object:
		if v.IsGround() {
			return t, true
		}
		out, ground := ast.NewObject(), true
		v.Foreach(func(key, value *ast.Term) {
			k, known := r.plain(key)
			val, alsoKnown := r.plain(value)
			ground = ground && known && alsoKnown
			out.Insert(k, val)
		})
		return ast.NewTerm(out), ground
	case ast.Set:
		if v.IsGround() {
			return t, true
		}
		out, ground := ast.NewSet(), true
		v.Foreach(func(item *ast.Term) {
			i, known := r.plain(item)
			ground = ground && known
			out.Add(i)
		})
		return ast.NewTerm(out), ground
	}
	return t, true
}

// equal tells whether two values are the same.
func (r *run) equal(a, b *ast.Term) (bool, error) {
	a, aKnown := r.plain(a)
	b, bKnown := r.plain(b)
	if aKnown && bKnown {
		return a.Value.Compare(b.Value) == 0, nil
	}
	sa, sb := r.symbolOf(a), r.symbolOf(b)
	switch {
	case sa != nil && sb != nil:
		return r.equalSymbols(sa, sb)
	case sb != nil:
		return r.equalsValue(sb, a)
	case sa != nil:
		return r.equalsValue(sa, b)
	case kindOf(a.Value) != kindOf(b.Value):
		return false, nil
	}
	return r.equalInside(a, b)
}

// equalsValue tells whether a symbol is a value, of which parts may not be known.
func (r *run) equalsValue(s *symbol, v *ast.Term) (bool, error) {
	list, isArray := v.Value.(*ast.Array)
	switch {
	case s.counts() != nil:
		return r.countIs(s.counts(), v)
	case kindOf(v.Value)&scalar != 0:
		return r.equalsConstant(s, v)
	case !isArray:
		if each := cmp.Or(r.eachIn(s.term()), r.eachIn(v)); each != nil {
			return false, &eachError{each}
		}
		return s.kinds&kindOf(v.Value) != 0 && r.assume("eq("+s.name+", "+v.String()+")"), nil
	}
	if long, err := r.longer(s, list.Len()); err != nil || !long {
		return false, err
	}
	if long, err := r.longer(s, list.Len()+1); err != nil || long {
		return false, err
	}
	for i := range list.Len() {
		item, err := r.item(s, ast.Number(strconv.Itoa(i)))
		if err != nil || item == nil {
			return false, err
		}
		if same, err := r.equal(item, list.Elem(i)); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// equalInside compares two lists or objects item by item. Of sets with items that are not known it is not
// told whether they are the same.
func (r *run) equalInside(a, b *ast.Term) (bool, error) {
	switch a := a.Value.(type) {
	case *ast.Array:
		other, _ := b.Value.(*ast.Array)
		if a.Len() != other.Len() {
			return false, nil
		}
		for i := range a.Len() {
			if same, err := r.equal(a.Elem(i), other.Elem(i)); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case ast.Object:
		other, _ := b.Value.(ast.Object)
		if !groundKeys(a) || !groundKeys(other) {
			break
		}
		if a.Len() != other.Len() {
			return false, nil
		}
		for _, key := range a.Keys() {
			value := other.Get(key)
			if value == nil {
				return false, nil
			}
			if same, err := r.equal(a.Get(key), value); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	}
	if each := cmp.Or(r.eachIn(a), r.eachIn(b)); each != nil {
		return false, &eachError{each}
	}
	return r.assume("eq(" + a.String() + ", " + b.String() + ")"), nil
}

func groundKeys(o ast.Object) bool {
	for _, key := range o.Keys() {
		if !key.IsGround() {
			return false
		}
	}
	return true
}

// eachIn is the symbol in a term that stands for all items of a list at once; nil where there is none.
func (r *run) eachIn(t *ast.Term) (found *symbol) {
	ast.WalkTerms(t, func(t *ast.Term) bool {
		if s := r.symbolOf(t); s != nil && s.each {
			found = s
		}
		return found != nil
	})
	return found
}

// less tells whether a < b, or a <= b where orEqual says so, in the order of all values that Rego has.
func (r *run) less(a, b *ast.Term, orEqual orEqual) (bool, error) {
	a, aKnown := r.plain(a)
	b, bKnown := r.plain(b)
	if aKnown && bKnown {
		order := a.Value.Compare(b.Value)
		return order < 0 || order == 0 && bool(orEqual), nil
	}
	if each := cmp.Or(r.eachIn(a), r.eachIn(b)); each != nil {
		return false, &eachError{each}
	}
	sa, sb := r.symbolOf(a), r.symbolOf(b)
	switch {
	case sa != nil && bKnown:
		return r.isBelow(sa, b, orEqual)
	case sb != nil && aKnown:
		above, err := r.isBelow(sb, a, !orEqual)
		return !above, err
	case bool(orEqual):
		return !r.assume("less(" + b.String() + ", " + a.String() + ")"), nil
	}
	return r.assume("less(" + a.String() + ", " + b.String() + ")"), nil
}

// orEqual makes < of two values <=.
type orEqual bool

// isBelow tells whether a symbol is below a constant.
func (r *run) isBelow(s *symbol, c *ast.Term, or orEqual) (bool, error) {
	if list := s.counts(); list != nil {
		return r.countBelow(list, c, or)
	}
	switch order := s.ordered(c, or); {
	case order != 0:
		return order < 0, nil
	case r.ask():
		s.below = &bound{c, !bool(or)}
		return true, nil
	}
	s.above = &bound{c, bool(or)}
	return false, nil
}

// ordered tells what the bounds say: -1 where the symbol is below, 1 where it is not, 0 where they say
// nothing.
func (s *symbol) ordered(c *ast.Term, or orEqual) int {
	if b := s.below; b != nil {
		if d := b.value.Value.Compare(c.Value); d < 0 || d == 0 && (b.strict || bool(or)) {
			return -1
		}
	}
	if b := s.above; b != nil {
		if d := b.value.Value.Compare(c.Value); d > 0 || d == 0 && (b.strict || !bool(or)) {
			return 1
		}
	}
	return 0
}

// counts is the list of which a symbol is the number of items; nil where it is not one.
func (s *symbol) counts() *symbol { return s.countOf }

// countIs tells whether a list has so many items.
func (r *run) countIs(list *symbol, v *ast.Term) (bool, error) {
	n, ok := v.Value.(ast.Number)
	if !ok {
		return false, nil
	}
	i, whole := n.Int()
	if !whole || i < 0 {
		return false, nil
	}
	return r.hasMore(list, i-1) && !r.hasMore(list, i), nil
}

// countBelow tells whether a list has fewer items.
func (r *run) countBelow(list *symbol, c *ast.Term, or orEqual) (bool, error) {
	n, ok := c.Value.(ast.Number)
	if !ok {
		return kindOf(c.Value) > number, nil // numbers come before
	}
	f, ok := n.Float64()
	if !ok {
		return false, errInfeasible
	}
	most := math.Ceil(f) - 1 // n < c
	if or {
		most = math.Floor(f)
	}
	if most < 0 {
		return false, nil
	}
	return !r.hasMore(list, int(min(most, 1<<30))), nil
}

// hasMore tells whether there are more items than n.
func (r *run) hasMore(list *symbol, n int) bool {
	switch {
	case list.least > n:
		return true
	case list.most >= 0 && list.most <= n:
		return false
	case r.ask():
		list.least = n + 1
		return true
	}
	list.most = n
	return false
}
