package prove

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A known is the value of rules, nil where they are undefined.
type known struct{ value *ast.Term }

// rules is the value of the rules at a place; nil where they are undefined. On one path it is computed
// once, and where it has nothing to do with the request, once for all paths.
func (r *run) rules(node *ast.TreeNode) (*ast.Term, error) {
	if v, ok := r.constants[node]; ok {
		return v.value, nil
	}
	if v, ok := r.values[node]; ok {
		r.touched++
		return v.value, nil
	}
	touched, here := r.touched, r.here
	value, err := r.compute(node)
	r.here = here
	if err != nil {
		return nil, err
	}
	if r.touched == touched {
		r.constants[node] = known{value}
	} else {
		r.values[node] = known{value}
	}
	return value, nil
}

func (r *run) compute(node *ast.TreeNode) (*ast.Term, error) {
	first := node.Values[0]
	switch ref := first.Ref(); {
	case len(first.Head.Args) > 0:
		return nil, r.obstacle(fmt.Sprintf("the function %v is used as a value", ref))
	case first.Head.RuleKind() == ast.MultiValue && len(ref) == len(ref.GroundPrefix()):
		return r.partialSet(node.Values)
	case len(ref) > len(ref.GroundPrefix()):
		return r.partialObject(node.Values)
	}
	return r.complete(node.Values, nil)
}

// complete is the value of rules that have one, or of functions for these arguments. It is that of the first
// rule whose body holds: where others have another, the evaluation fails, and denies.
func (r *run) complete(rules []*ast.Rule, args []*ast.Term) (value *ast.Term, err error) {
	for _, rule := range rules {
		if rule.Default {
			continue
		}
		for ; rule != nil; rule = rule.Else {
			if value, err = r.first(rule, args); err != nil || value != nil {
				return value, err
			}
		}
	}
	for _, rule := range rules {
		if rule.Default {
			return r.first(rule, args)
		}
	}
	return nil, nil
}

// first is the value of a rule; nil where its body does not hold.
func (r *run) first(rule *ast.Rule, args []*ast.Term) (value *ast.Term, err error) {
	f := &frame{vars: map[ast.Var]*ast.Term{}}
	_, err = r.found(r.matchItems(f, rule.Head.Args, args, func() error {
		return r.body(f, rule.Body, 0, func() error {
			return r.term(f, rule.Head.Value, func(v *ast.Term) error {
				value = v
				return errFound
			})
		})
	}))
	return value, err
}

// found makes of the end of a search whether it found something.
func (r *run) found(err error) (bool, error) {
	if err == errFound { //nolint:errorlint // it is never wrapped
		return true, nil
	}
	return false, err
}

func (r *run) partialSet(rules []*ast.Rule) (*ast.Term, error) {
	c := &collection{}
	name := "value of " + rules[0].Ref().String()
	for _, rule := range rules {
		f := &frame{vars: map[ast.Var]*ast.Term{}, all: c}
		err := r.body(f, rule.Body, 0, func() error {
			return r.term(f, rule.Head.Key, func(v *ast.Term) error { return c.add(r, v) })
		})
		if c.gave(err) {
			return r.unknown(name+place1(rule), "the items of a list that is not known are looked at", set), nil
		}
		if err != nil {
			return nil, err
		}
	}
	return r.set(c, name+place1(rules[0])), nil
}

// place1 tells rules of one name in different packages apart.
func place1(rule *ast.Rule) string { return fmt.Sprintf(" %p", rule) }

func (r *run) partialObject(rules []*ast.Rule) (*ast.Term, error) {
	c := &collection{object: ast.NewObject()}
	for _, rule := range rules {
		ref := rule.Head.Ref()
		f := &frame{vars: map[ast.Var]*ast.Term{}, all: c}
		err := r.body(f, rule.Body, 0, func() error { return r.addMember(f, c, rule) })
		if c.gave(err) {
			return r.unknown("value of "+ref.String()+place1(rule), "the items of a list that is not known are looked at", object), nil
		}
		if err != nil {
			return nil, err
		}
	}
	return ast.NewTerm(c.object), nil
}

// addMember adds one solution of a rule whose reference has variables.
func (r *run) addMember(f *frame, c *collection, rule *ast.Rule) error {
	ref := rule.Head.Ref()
	path := ref[len(ref.GroundPrefix()):]
	leaf := rule.Head.Value
	if rule.Head.RuleKind() == ast.MultiValue {
		leaf = rule.Head.Key
	}
	return r.terms(f, append(append([]*ast.Term{}, path...), leaf), nil, func(values []*ast.Term) error {
		keys, value := values[:len(values)-1], values[len(values)-1]
		for i, key := range keys {
			plain, ground := r.plain(key)
			if !ground && (len(keys) > 1 || rule.Head.RuleKind() == ast.MultiValue) {
				if each := r.eachIn(plain); each != nil {
					return &eachError{each}
				}
				return r.obstacle("an object is made with keys that are not known")
			}
			keys[i] = plain
		}
		if rule.Head.RuleKind() == ast.MultiValue {
			return c.putInSet(keys, value)
		}
		return c.put(keys, value)
	})
}

// putInSet adds an item to the set that is a member.
func (c *collection) putInSet(path []*ast.Term, item *ast.Term) error {
	at := ast.Value(c.object)
	for _, key := range path {
		o, ok := at.(ast.Object)
		if !ok {
			return nil // a conflict, which denies
		}
		inner := o.Get(key)
		if inner == nil {
			break
		}
		at = inner.Value
	}
	before, _ := at.(ast.Set)
	if before == nil {
		before = ast.NewSet()
	}
	after := before.Copy()
	after.Add(item)
	return c.put(path, ast.NewTerm(after))
}

// function is the value of a call; nil where it is undefined.
func (r *run) function(ref ast.Ref, args []*ast.Term) (*ast.Term, error) {
	node := r.compiler.RuleTree.Find(ref)
	if node == nil || len(node.Values) == 0 {
		return nil, r.obstacle(fmt.Sprintf("the function %v is not found", ref))
	}
	var key strings.Builder
	fmt.Fprintf(&key, "%v", ref)
	for i, arg := range args {
		args[i], _ = r.plain(arg)
		fmt.Fprintf(&key, " %v", args[i])
	}
	if v, ok := r.calls[key.String()]; ok {
		return v.value, nil
	}
	here := r.here
	value, err := r.complete(node.Values, args)
	r.here = here
	if err == nil {
		r.calls[key.String()] = known{value}
	}
	return value, err
}
