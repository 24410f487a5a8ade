package prove

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A symbol stands for a value that is not known, and holds what is assumed of it on this path. In terms it is
// a variable with a name that no policy can write.
type symbol struct {
	name  string
	shape *shape
	from  *application // what it is the result of; nil: a part of the input
	each  bool         // it stands for all items of a list at once

	same      *symbol         // it is equal to that one, which has the facts of both
	value     *ast.Term       // it is this value
	not       []*ast.Term     // it is none of these
	differ    []*symbol       // it is equal to none of these
	kinds     kinds           // it is of one of these types
	least     int             // items of a list
	most      int             // -1: any number
	above     *bound          // in the order of all values
	below     *bound          //
	present   map[string]bool // members, by name
	holds     map[string]bool // values among the items, by their text
	held      []*ast.Term     // those that are
	tests     []test
	memberOf  *symbol
	countOf   *symbol      // it is the number of items of that one
	items     []*ast.Term  // of a set: some that are in it
	lists     []*symbol    // of a set: all of their items are in it
	whole     bool         // of a set: there is nothing else in it
	witnesses [][2]*symbol // keys and members that there must be
	children  []*symbol
}

// An application is a builtin and its operands, not all of which are known.
type application struct {
	builtin  string
	operands []*ast.Term
}

// A bound is a value that a symbol is above or below, or may be equal to.
type bound struct {
	value  *ast.Term
	strict bool
}

// A test is a question with a name, such as startswith, of a text and a constant.
type test struct {
	builtin string
	operand []*ast.Term // with a nil in the place of the symbol
	holds   bool
}

const mark = "?"

// term is the symbol as it stands in terms.
func (s *symbol) term() *ast.Term { return ast.VarTerm(mark + s.name) }

// errInfeasible ends a path that no request can take.
var errInfeasible = errors.New("no request takes this path")

// An eachError ends the look at all items of a list at once, where an item is not only passed on.
type eachError struct{ of *symbol }

func (e *eachError) Error() string { return "the items of " + e.of.name + " are looked at" }

// symbolOf is the symbol that a term is; nil where it is known.
func (r *run) symbolOf(t *ast.Term) *symbol {
	v, ok := t.Value.(ast.Var)
	if !ok || !strings.HasPrefix(string(v), mark) {
		return nil
	}
	s := r.symbols[string(v)[len(mark):]]
	if s = s.rep(); s.value != nil {
		return nil
	}
	return s
}

// now is a term as far as it is known by now.
func (r *run) now(t *ast.Term) *ast.Term {
	if v, ok := t.Value.(ast.Var); ok && strings.HasPrefix(string(v), mark) {
		s := r.symbols[string(v)[len(mark):]].rep()
		if s.value != nil {
			return s.value
		}
		return s.term()
	}
	return t
}

// symbol makes a symbol, or finds the one of that name.
func (r *run) symbol(name string, sh *shape) *symbol {
	if s := r.symbols[name]; s != nil {
		return s.rep()
	}
	r.touched++
	s := &symbol{
		name: name, shape: sh, kinds: sh.kinds, most: -1,
		present: map[string]bool{}, holds: map[string]bool{},
	}
	if sh.notEmpty {
		if sh.kinds == text || sh.kinds == array {
			s.least = 1
		}
		s.not = []*ast.Term{ast.StringTerm("")}
	}
	if len(sh.enum) == 1 {
		s.value = ast.StringTerm(sh.enum[0])
	}
	if sh.never {
		s.value = ast.BooleanTerm(false)
	}
	r.symbols[name] = s
	r.order = append(r.order, s)
	return s
}

// ask decides what is not decided yet: on each path once, one way, and on another path the other.
func (r *run) ask() bool {
	if r.at == len(r.path) {
		r.path = append(r.path, true)
	}
	r.at++
	return r.path[r.at-1]
}

// assume decides a question of which nothing is known but what was said to it before.
func (r *run) assume(key string) bool {
	answer, _ := r.assumed(key)
	return answer
}

// assumed gives the question a number too, which no other has on this path.
func (r *run) assumed(key string) (answer bool, id int) {
	known, ok := r.atoms[key]
	if !ok {
		known = atom{r.ask(), len(r.atoms)}
		r.atoms[key] = known
	}
	return known.answer, known.id
}

// An atom is a question that was decided.
type atom struct {
	answer bool
	id     int
}

// is tells whether a symbol is of one of some types.
func (r *run) is(s *symbol, wanted kinds) (bool, error) {
	switch {
	case s.each:
		return false, &eachError{s}
	case s.kinds&^wanted == 0:
		return true, nil
	case s.kinds&wanted == 0:
		return false, nil
	}
	if r.ask() {
		s.kinds &= wanted
		return true, nil
	}
	s.kinds &^= wanted
	return false, nil
}

// longer tells whether a list has so many items at least.
func (r *run) longer(s *symbol, n int) (bool, error) {
	isArray, err := r.is(s, array)
	switch {
	case err != nil || !isArray:
		return false, err
	case s.least >= n:
		return true, nil
	case s.most >= 0 && s.most < n:
		return false, nil
	}
	if r.ask() {
		s.least = n
		return true, nil
	}
	s.most = n - 1
	return false, nil
}

// equalsConstant tells whether a symbol is a scalar value.
func (r *run) equalsConstant(s *symbol, c *ast.Term) (bool, error) {
	if s.each {
		return false, &eachError{s}
	}
	if !r.possible(s, c) {
		return false, nil
	}
	if s.onlyValue(c) || r.ask() {
		return true, r.decide(s, c)
	}
	s.not = append(s.not, c)
	return false, nil
}

// onlyValue tells whether all other values are excluded.
func (s *symbol) onlyValue(c *ast.Term) bool {
	switch {
	case s.kinds == null:
		return true
	case s.kinds == boolean:
		other, _ := c.Value.(ast.Boolean)
		return s.excludes(ast.BooleanTerm(!bool(other)))
	case s.kinds == text && s.shape.enum != nil:
		left := slices.DeleteFunc(slices.Clone(s.shape.enum), func(e string) bool { return s.excludes(ast.StringTerm(e)) })
		return len(left) == 1 && ast.String(left[0]).Compare(c.Value) == 0
	}
	return false
}

func (s *symbol) excludes(c *ast.Term) bool {
	return slices.ContainsFunc(s.not, func(n *ast.Term) bool { return n.Value.Compare(c.Value) == 0 })
}

// possible tells whether nothing that is assumed keeps a symbol from being a value.
func (r *run) possible(s *symbol, c *ast.Term) bool {
	value, isText := c.Value.(ast.String)
	if s.kinds&kindOf(c.Value) == 0 || s.excludes(c) || isText && s.shape.enum != nil && !slices.Contains(s.shape.enum, string(value)) {
		return false
	}
	if n := utf8.RuneCountInString(string(value)); isText && (n < s.least || s.most >= 0 && n > s.most) {
		return false
	}
	if of := s.memberOf; of != nil {
		if among, known := of.holds[c.String()]; known && !among {
			return false
		}
	}
	if b := s.above; b != nil && (c.Value.Compare(b.value.Value) < 0 || b.strict && c.Equal(b.value)) {
		return false
	}
	if b := s.below; b != nil && (c.Value.Compare(b.value.Value) > 0 || b.strict && c.Equal(b.value)) {
		return false
	}
	for _, d := range s.differ {
		if v := d.rep().value; v != nil && v.Value.Compare(c.Value) == 0 {
			return false
		}
	}
	return !slices.ContainsFunc(s.tests, func(t test) bool { return r.try(t, c) != t.holds })
}

// decide gives a symbol its value.
func (r *run) decide(s *symbol, c *ast.Term) error {
	if !r.possible(s, c) {
		return errInfeasible
	}
	s.value, s.kinds = c, kindOf(c.Value)
	if s.memberOf != nil {
		s.memberOf.holds[c.String()] = true
		s.memberOf.held = append(s.memberOf.held, c)
	}
	return nil
}

// equalSymbols tells whether two symbols are equal. What is known of both is then known of one; the
// members of each are not compared with the other's, which leaves more possible than there is.
func (r *run) equalSymbols(a, b *symbol) (bool, error) {
	if a == b {
		return true, nil
	}
	if a.each {
		return false, &eachError{a}
	}
	if b.each {
		return false, &eachError{b}
	}
	if a.kinds&b.kinds == 0 {
		return false, nil
	}
	if a.differsFrom(b) || !r.ask() {
		a.differ, b.differ = append(a.differ, b), append(b.differ, a)
		return false, nil
	}
	a.absorb(b)
	if a.most >= 0 && a.least > a.most && a.kinds == array {
		return false, errInfeasible
	}
	return true, nil
}

// absorb makes b the same as s, of which all is known then that was known of either.
func (s *symbol) absorb(b *symbol) {
	b.same = s
	s.differ = append(s.differ, b.differ...)
	s.kinds &= b.kinds
	s.not = append(s.not, b.not...)
	s.tests = append(s.tests, b.tests...)
	s.least = max(s.least, b.least)
	if b.most >= 0 && (s.most < 0 || b.most < s.most) {
		s.most = b.most
	}
	if s.above == nil {
		s.above = b.above
	}
	if s.below == nil {
		s.below = b.below
	}
	if s.memberOf == nil {
		s.memberOf = b.memberOf
	}
	if len(b.shape.enum) > 0 && s.shape.enum == nil || b.shape.rest == nil && s.shape.rest != nil {
		s.shape = b.shape
	}
}

// differsFrom tells whether two symbols are known to be different.
func (s *symbol) differsFrom(other *symbol) bool {
	among := func(list []*symbol, wanted *symbol) bool {
		return slices.ContainsFunc(list, func(d *symbol) bool { return d.rep() == wanted })
	}
	return among(s.differ, other) || among(other.differ, s)
}

// rep is the symbol that has the facts of this one.
func (s *symbol) rep() *symbol {
	for s.same != nil {
		s = s.same
	}
	return s
}
