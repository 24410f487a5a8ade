package prove

import (
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A collection is all solutions of a comprehension, or of the rules that make a set or an object.
type collection struct {
	items  []*ast.Term // of a list or a set
	lists  []*symbol   // of a set: all their items are in it
	object ast.Object

	each   []*symbol // that were made for it
	active int       // lists that are looked at all at once just now
}

// add adds an item.
func (c *collection) add(r *run, value *ast.Term) error {
	value = r.now(value)
	if c.active == 0 {
		c.items = append(c.items, value)
		return nil
	}
	if s := r.symbolOf(value); c.active == 1 && s != nil && s.each && s.memberOf != nil {
		c.lists = append(c.lists, s.memberOf)
		return nil
	}
	return &eachError{c.each[len(c.each)-1]}
}

// put adds a member.
func (c *collection) put(path []*ast.Term, value *ast.Term) error {
	if c.active > 0 {
		return &eachError{c.each[len(c.each)-1]}
	}
	if c.object == nil {
		c.object = ast.NewObject()
	}
	at := c.object
	for _, key := range path[:len(path)-1] {
		inner := at.Get(key)
		if inner == nil {
			inner = ast.ObjectTerm()
			at.Insert(key, inner)
		}
		var ok bool
		if at, ok = inner.Value.(ast.Object); !ok {
			return nil // a conflict, which denies
		}
	}
	at.Insert(path[len(path)-1], value)
	return nil
}

// gave tells whether an error came of the items of a list that this collection looks at.
func (c *collection) gave(err error) bool {
	var each *eachError
	return errors.As(err, &each) && slices.Contains(c.each, each.of)
}

// set is a set of what was collected.
func (r *run) set(c *collection, name string) *ast.Term {
	if len(c.lists) == 0 {
		return ast.SetTerm(c.items...)
	}
	s := r.symbol(name, whatever(set))
	s.items, s.lists, s.whole = c.items, c.lists, true
	s.least = max(s.least, min(1, len(c.items)))
	return s.term()
}

// unknown is a value of which nothing is known but its type.
func (r *run) unknown(name, why string, k kinds) *ast.Term {
	r.note(why)
	return r.symbol(name, whatever(k)).term()
}

// comprehension is the value of a comprehension.
func (r *run) comprehension(f *frame, t *ast.Term) (*ast.Term, error) {
	at, keyErr := r.key(f, "value", t)
	c := &collection{}
	inner := &frame{vars: f.vars, all: c}
	body, add := c.reader(r, inner, t)
	here := r.here
	err := r.body(inner, body, 0, add)
	r.here = here
	switch {
	case err == nil:
		return c.value(r, t, at, keyErr)
	case !c.gave(err):
		return nil, err
	case keyErr != nil:
		return nil, keyErr
	}
	id := r.number(at)
	return r.unknown(fmt.Sprintf("value %d", id), "the items of a list that is not known are looked at", kindOfComprehension(t)), nil
}

// number numbers a place without asking anything.
func (r *run) number(key string) int {
	if _, ok := r.atoms[key]; !ok {
		r.atoms[key] = atom{true, len(r.atoms)}
	}
	return r.atoms[key].id
}

func kindOfComprehension(t *ast.Term) kinds {
	switch t.Value.(type) {
	case *ast.ArrayComprehension:
		return array
	case *ast.ObjectComprehension:
		return object
	}
	return set
}

// reader is the body of a comprehension, and what takes its solutions.
func (c *collection) reader(r *run, f *frame, t *ast.Term) (ast.Body, func() error) {
	add := func(value *ast.Term) error { return c.add(r, value) }
	switch v := t.Value.(type) {
	case *ast.ArrayComprehension:
		return v.Body, func() error { return r.term(f, v.Term, add) }
	case *ast.SetComprehension:
		return v.Body, func() error { return r.term(f, v.Term, add) }
	case *ast.ObjectComprehension:
		return v.Body, func() error {
			return r.terms(f, []*ast.Term{v.Key, v.Value}, nil, func(pair []*ast.Term) error { return c.put(pair[:1], pair[1]) })
		}
	}
	return nil, found
}

func (c *collection) value(r *run, t *ast.Term, at string, keyErr error) (*ast.Term, error) {
	switch kindOfComprehension(t) {
	case object:
		if c.object == nil {
			return ast.ObjectTerm(), nil
		}
		return ast.NewTerm(c.object), nil
	case set:
		if len(c.lists) == 0 {
			return ast.SetTerm(c.items...), nil
		}
		if keyErr != nil {
			return nil, keyErr
		}
		id := r.number(at)
		return r.set(c, fmt.Sprintf("value %d", id)), nil
	}
	if len(c.lists) > 0 {
		if keyErr != nil {
			return nil, keyErr
		}
		id := r.number(at)
		return r.unknown(fmt.Sprintf("value %d", id), "a list is made of one that is not known", array), nil
	}
	return ast.ArrayTerm(c.items...), nil
}

// isMember tells whether a value is in a set that is not known in whole.
func (r *run) isMember(s *symbol, value *ast.Term) (bool, error) {
	for _, item := range s.items {
		if same, err := r.equal(item, value); err != nil || same {
			return same, err
		}
	}
	for _, list := range s.lists {
		if there, err := r.has(list, value); err != nil || there {
			return there, err
		}
	}
	if s.whole {
		return false, nil
	}
	return r.among(s, value)
}
