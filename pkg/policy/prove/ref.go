package prove

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ref calls k with each value that a reference leads to.
func (r *run) ref(f *frame, ref ast.Ref, k func(*ast.Term) error) error {
	switch head := ref[0]; {
	case head.Equal(ast.InputRootDocument):
		r.touched++
		return r.walk(f, r.input, ref, 1, k)
	case head.Equal(ast.DefaultRootDocument):
		return r.data(f, r.compiler.RuleTree.Child(ast.DefaultRootDocument.Value), r.root, ref, k)
	}
	return r.term(f, ref[0], func(base *ast.Term) error { return r.walk(f, base, ref, 1, k) })
}

// data follows a reference through packages, to a rule or to data.
func (r *run) data(f *frame, node *ast.TreeNode, base *ast.Term, ref ast.Ref, k func(*ast.Term) error) error {
	return r.dataFrom(f, place{node, base, 1}, ref, k)
}

// A place is where a reference has led to so far: rules, data, or both.
type place struct {
	node *ast.TreeNode // nil: no rules are here or below
	base *ast.Term     // nil: no data is here
	at   int           // in the reference
}

func (r *run) dataFrom(f *frame, p place, ref ast.Ref, k func(*ast.Term) error) error {
	if p.node != nil && len(p.node.Values) > 0 {
		if len(p.node.Children) > 0 || p.base != nil {
			return r.obstacle(fmt.Sprintf("%v is made of rules and of more", ref[:p.at]))
		}
		value, err := r.rules(p.node)
		if err != nil || value == nil {
			return err
		}
		return r.walk(f, value, ref, p.at, k)
	}
	if p.node == nil || len(p.node.Children) == 0 {
		if p.base == nil {
			return r.emptyPackage(ref[:p.at])
		}
		return r.walk(f, p.base, ref, p.at, k)
	}
	if p.at == len(ref) || f.isOpen(ref[p.at]) {
		return r.obstacle(fmt.Sprintf("%v names a package and not a rule", ref[:p.at]))
	}
	return r.term(f, ref[p.at], func(key *ast.Term) error {
		key, known := r.plain(key)
		if !known {
			return r.obstacle(fmt.Sprintf("which rule of %v is meant depends on the request", ref[:p.at]))
		}
		base, err := r.under(p.base, key)
		if err != nil {
			return err
		}
		return r.dataFrom(f, place{p.node.Child(key.Value), base, p.at + 1}, ref, k)
	})
}

// emptyPackage refuses a package without rules: it is an empty object.
func (r *run) emptyPackage(ref ast.Ref) error {
	for _, module := range r.compiler.Modules {
		if module.Package.Path.HasPrefix(ref) {
			return r.obstacle(fmt.Sprintf("%v names a package and not a rule", ref))
		}
	}
	return nil
}

// under is what known data has under a key.
func (r *run) under(base, key *ast.Term) (*ast.Term, error) {
	if base == nil {
		return nil, nil
	}
	switch v := base.Value.(type) {
	case ast.Object:
		found := v.Get(key)
		if _, isNumber := key.Value.(ast.Number); isNumber && found == nil && v.Get(ast.StringTerm(key.String())) != nil {
			return nil, r.obstacle("a number names a member of an object") // of data it does, of other objects not
		}
		return found, nil
	case *ast.Array:
		return v.Get(key), nil
	case ast.Set:
		if v.Contains(key) {
			return key, nil
		}
	}
	return nil, nil
}

// walk follows a reference from a value, at its i-th part.
func (r *run) walk(f *frame, value *ast.Term, ref ast.Ref, i int, k func(*ast.Term) error) error {
	value = r.now(value)
	if i == len(ref) {
		return k(value)
	}
	if f.isOpen(ref[i]) {
		return r.iterate(f, value, ref[i], func(member *ast.Term) error { return r.walk(f, member, ref, i+1, k) })
	}
	return r.term(f, ref[i], func(key *ast.Term) error {
		member, err := r.lookUp(value, key)
		if err != nil || member == nil {
			return err
		}
		return r.walk(f, member, ref, i+1, k)
	})
}

// lookUp is what a value has under a key; nil where it has nothing.
func (r *run) lookUp(value, key *ast.Term) (*ast.Term, error) {
	key, known := r.plain(key)
	if s := r.symbolOf(value); s != nil {
		isSet, err := r.is(s, set)
		if err != nil || !isSet {
			return r.childUnless(err, s, key)
		}
		there, err := r.isMember(s, key)
		if err != nil || !there {
			return nil, err
		}
		return key, nil
	}
	if known && value.IsGround() {
		return r.under(value, key)
	}
	pairs, _, err := r.pairs(value)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		same, err := r.equal(p[0], key)
		if err != nil {
			return nil, err
		}
		if same {
			return p[1], nil
		}
	}
	return nil, nil
}

func (r *run) childUnless(err error, s *symbol, key *ast.Term) (*ast.Term, error) {
	if err != nil {
		return nil, err
	}
	return r.child(s, key)
}

// pairs are the keys and values of a list, an object or a set, where it is known which there are.
func (r *run) pairs(value *ast.Term) (pairs [][2]*ast.Term, known bool, err error) {
	value = r.now(value)
	switch v := value.Value.(type) {
	case *ast.Array:
		for i := range v.Len() {
			pairs = append(pairs, [2]*ast.Term{ast.IntNumberTerm(i), v.Elem(i)})
		}
	case ast.Object:
		for _, key := range v.Keys() {
			pairs = append(pairs, [2]*ast.Term{key, v.Get(key)})
		}
	case ast.Set:
		for _, item := range v.Slice() {
			pairs = append(pairs, [2]*ast.Term{item, item})
		}
	}
	if s := r.symbolOf(value); s != nil {
		return r.items(s)
	}
	return pairs, true, nil
}

// iterate calls k with each member of a value, its key matching a pattern.
func (r *run) iterate(f *frame, value, pattern *ast.Term, k func(*ast.Term) error) error {
	pairs, known, err := r.pairs(value)
	if err != nil {
		return err
	}
	if s := r.symbolOf(value); !known && s.kinds == set {
		return r.iterateSet(f, s, pattern, k)
	} else if !known {
		return r.iterateUnknown(f, s, pattern, pattern, k)
	}
	for _, p := range pairs {
		if err := r.match(f, pattern, p[0], func() error { return k(p[1]) }); err != nil {
			return err
		}
	}
	return nil
}

// iterateUnknown calls k with a member of a list of which it is not known how long it is.
//
// Where one solution is enough, either there is a member from which one comes, or there is none. In the
// first case k is called with that member, and a path on which no solution comes of it is none that a
// request takes. Where all solutions are collected, k is called with a symbol for all of them. place is the
// term of the policy that iterates.
func (r *run) iterateUnknown(f *frame, of *symbol, place, pattern *ast.Term, k func(*ast.Term) error) error {
	if f.all != nil {
		return r.iterateAll(f, of, pattern, k)
	}
	at, err := r.key(f, "member of "+of.name, place)
	if err != nil {
		return err
	}
	there, id := r.assumed(at)
	if !there {
		return nil
	}
	if of.kinds &= array | object | set; of.kinds == 0 {
		return errInfeasible
	}
	if of.least = max(of.least, 1); of.most == 0 {
		return errInfeasible
	}
	member := r.symbol(fmt.Sprintf("%s[any %d]", of.name, id), of.memberShape())
	member.memberOf = of
	key := member
	if of.kinds&(array|object) != 0 {
		key = r.symbol("key of "+member.name, of.keyShape())
		of.witnesses = append(of.witnesses, [2]*symbol{key, member})
	}
	of.adopt(member)
	if err := r.match(f, pattern, key.term(), func() error { return k(r.now(member.term())) }); err != nil {
		return err
	}
	return errInfeasible
}

func (s *symbol) memberShape() *shape {
	switch {
	case s.kinds == array:
		return s.shape.itemShape()
	case s.kinds == object && s.shape.rest != nil:
		return s.shape.rest
	}
	return whatever(anyKind)
}

func (s *symbol) keyShape() *shape {
	if s.kinds == array {
		return &shape{kinds: number}
	}
	return whatever(anyKind)
}

func (r *run) iterateAll(f *frame, of *symbol, pattern *ast.Term, k func(*ast.Term) error) error {
	all := r.each(of)
	key := all
	if of.kinds != set {
		key = r.each(nil)
	}
	f.all.each = append(f.all.each, all, key)
	f.all.active++
	err := r.match(f, pattern, key.term(), func() error { return k(all.term()) })
	f.all.active--
	return err
}

// each is a symbol for all items of a list at once; or, of nil, for its keys.
func (r *run) each(of *symbol) *symbol {
	s := r.symbol(fmt.Sprintf("each %d", len(r.order)), whatever(anyKind))
	s.each, s.memberOf = true, of
	return s
}

// iterateSet calls k with each item of a set.
func (r *run) iterateSet(f *frame, s *symbol, pattern *ast.Term, k func(*ast.Term) error) error {
	member := func(item *ast.Term) error {
		return r.match(f, pattern, item, func() error { return k(item) })
	}
	for _, item := range s.items {
		if err := member(item); err != nil {
			return err
		}
	}
	for _, list := range s.lists {
		if err := r.iterateUnknown(f, list, pattern, ast.VarTerm("_ of a set"), member); err != nil {
			return err
		}
	}
	if s.whole {
		return nil
	}
	return r.iterateUnknown(f, s, pattern, pattern, k)
}
