package prove

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// child is what a symbol has under a key; nil where it has nothing.
func (r *run) child(s *symbol, key *ast.Term) (*ast.Term, error) {
	if s.each {
		return nil, &eachError{s}
	}
	if k := r.symbolOf(key); k != nil {
		return r.childOfSymbol(s, k)
	}
	switch k := r.now(key).Value.(type) {
	case ast.String:
		return r.member(s, string(k))
	case ast.Number:
		return r.item(s, k)
	}
	return nil, nil // no JSON document has other keys
}

// member is a member of an object.
func (r *run) member(s *symbol, name string) (*ast.Term, error) {
	if s.kinds&object == 0 {
		return nil, nil
	}
	sh := s.shape.member(name)
	if sh == nil {
		return nil, nil
	}
	there, err := r.isThere(s, name, sh)
	if err != nil || !there {
		return nil, err
	}
	full := placeName(s.name, name)
	if home := homes[full]; home != "" {
		full = home
	}
	m := r.symbol(full, sh)
	s.adopt(m)
	return r.now(m.term()), nil
}

func placeName(of, member string) string {
	for _, c := range member {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return of + "[" + strconv.Quote(member) + "]"
		}
	}
	return of + "." + member
}

func (s *symbol) adopt(child *symbol) {
	if !slices.Contains(s.children, child) {
		s.children = append(s.children, child)
	}
}

// isThere tells whether an object has a member.
func (r *run) isThere(s *symbol, name string, sh *shape) (bool, error) {
	full := placeName(s.name, name)
	if home := homes[full]; home != "" {
		return r.assume("there(" + home + ")"), nil // its name here is there where it is
	}
	there, known := s.present[name]
	if known {
		return there, nil
	}
	switch {
	case sh.presence == withHTTP:
		there = r.assume("http")
	case sh.presence == ofHTTP:
		there = r.assume("http") || r.assume("there("+full+")")
	case sh.presence == withToken:
		status, err := r.member(s, "status")
		if err != nil {
			return false, err
		}
		if there, err = r.equal(status, ast.StringTerm("valid")); err != nil {
			return false, err
		}
	case sh.presence == always && s.kinds == object:
		there = true
	default:
		there = r.assume("there(" + full + ")")
	}
	s.present[name] = there
	if there {
		s.kinds = object
	}
	return there, nil
}

// item is an item of a list.
func (r *run) item(s *symbol, n ast.Number) (*ast.Term, error) {
	i, ok := n.Int()
	if !ok || i < 0 || s.kinds&array == 0 {
		return nil, nil
	}
	there, err := r.longer(s, i+1)
	if err != nil || !there {
		return nil, err
	}
	m := r.symbol(fmt.Sprintf("%s[%d]", s.name, i), s.shape.itemShape())
	if m.memberOf == nil && m != s {
		m.memberOf = s
	}
	s.adopt(m)
	return r.now(m.term()), nil
}

func (s *shape) itemShape() *shape {
	if s.items == nil {
		return whatever(anyKind)
	}
	return s.items
}

// childOfSymbol is what a symbol has under a key that is not known.
func (r *run) childOfSymbol(s, key *symbol) (*ast.Term, error) {
	if key.each {
		return nil, &eachError{key}
	}
	if s.kinds == object && s.shape.rest == nil {
		for _, name := range s.shape.names() {
			same, err := r.equal(key.term(), ast.StringTerm(name))
			if err != nil {
				return nil, err
			}
			if same {
				return r.member(s, name)
			}
		}
		return nil, nil
	}
	full := s.name + "[" + key.name + "]"
	if s.kinds&(array|object) == 0 || !r.assume("there("+full+")") {
		return nil, nil
	}
	return r.now(r.symbol(full, whatever(anyKind)).term()), nil
}

// items are the items of a list, or the members of an object, where it is known which there are.
func (r *run) items(s *symbol) (pairs [][2]*ast.Term, known bool, err error) {
	if s.each {
		return nil, false, &eachError{s}
	}
	if isSet, err := r.is(s, set); err != nil || isSet {
		return nil, false, err
	}
	switch {
	case s.kinds&(array|object) == 0:
		return nil, true, nil
	case s.kinds == object && s.shape.rest == nil:
		for _, name := range s.shape.names() {
			value, err := r.member(s, name)
			if err != nil {
				return nil, false, err
			}
			if value != nil {
				pairs = append(pairs, [2]*ast.Term{ast.StringTerm(name), value})
			}
		}
		return pairs, true, nil
	case s.kinds == array && s.most == s.least:
		for i := range s.least {
			value, err := r.item(s, ast.Number(strconv.Itoa(i)))
			if err != nil {
				return nil, false, err
			}
			pairs = append(pairs, [2]*ast.Term{ast.IntNumberTerm(i), value})
		}
		return pairs, true, nil
	}
	return nil, false, nil
}

// has tells whether a value is among the items of a list, or the values of an object.
func (r *run) has(of *symbol, value *ast.Term) (bool, error) {
	if isSet, err := r.is(of, set); err != nil || isSet {
		if err != nil {
			return false, err
		}
		return r.isMember(of, value)
	}
	if of.kinds&(array|object) == 0 {
		return false, nil
	}
	pairs, known, err := r.items(of)
	if err != nil {
		return false, err
	}
	if known {
		for _, p := range pairs {
			if same, err := r.equal(p[1], value); err != nil || same {
				return same, err
			}
		}
		return false, nil
	}
	return r.among(of, value)
}

// among is has, of a list that is not known.
func (r *run) among(of *symbol, value *ast.Term) (bool, error) {
	value, ground := r.plain(value)
	if v := r.eachIn(value); v != nil {
		return false, &eachError{v}
	}
	if v := r.symbolOf(value); v != nil && v.memberOf == of {
		return true, nil
	}
	if !ground {
		return r.assume("has(" + of.name + ", " + value.String() + ")"), nil
	}
	if sh := of.shape.items; of.kinds == array && sh != nil && sh.kinds&kindOf(value.Value) == 0 {
		return false, nil
	}
	text := value.String()
	if there, known := of.holds[text]; known {
		return there, nil
	}
	there := r.ask()
	of.holds[text] = there
	if there {
		of.held = append(of.held, value)
		of.least = max(of.least, 1)
		if of.kinds &= array | object | set; of.most == 0 && of.kinds == array {
			return false, errInfeasible
		}
	}
	return there, nil
}
