package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/sallyport/sallyport/pkg/authz"
)

// removals lists the headers that an allow removes: those the policy said, and those it can set
// and did not.
func (s *snapshot) removals(m authz.Mutation) []string {
	if len(m.SetHeaders) == 0 && len(m.RemoveHeaders) == 0 {
		return s.strip
	}
	names := slices.Clone(m.RemoveHeaders)
	for _, name := range s.strip {
		if !has(m.SetHeaders, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// outputHeaders are the headers that the policy can set, as far as its text tells, and those of
// the configuration.
func (s *snapshot) outputHeaders(configured []string) ([]string, error) {
	f := finder{snapshot: s, names: map[string]bool{}, seen: map[any]bool{}}
	for _, rule := range s.reachable() {
		f.searchRule(rule)
	}
	for _, name := range configured {
		name, err := parseName(name)
		if err != nil {
			return nil, fmt.Errorf("policy: output headers: %w", err)
		}
		f.names[name] = true
	}
	return slices.Sorted(maps.Keys(f.names)), nil
}

// reachable lists the rules that the entrypoint is made of, and all that they refer to.
func (s *snapshot) reachable() []*ast.Rule {
	seen := map[*ast.Rule]bool{}
	queue := s.compiler.GetRules(s.entrypoint)
	for len(queue) > 0 {
		rule := queue[0]
		queue = queue[1:]
		if seen[rule] {
			continue
		}
		seen[rule] = true
		for dependency := range s.compiler.Graph.Dependencies(rule) {
			queue = append(queue, dependency.(*ast.Rule))
		}
		if rule.Else != nil {
			queue = append(queue, rule.Else)
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// A finder collects the constant names of headers from compiled rules. It reads too much rather
// than too little: every argument of a call, every branch.
type finder struct {
	snapshot *snapshot
	names    map[string]bool
	seen     map[any]bool // rules, and variables of rules, that were read
}

// A local is a variable of a rule.
type local struct {
	rule *ast.Rule
	name ast.Var
}

// searchRule finds where a rule speaks of headers: in the answer's object, or in its own name.
func (f *finder) searchRule(rule *ast.Rule) {
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		o, ok := t.Value.(ast.Object)
		if !ok {
			return false
		}
		if isDenial(o) {
			return true
		}
		if headers := o.Get(ast.InternedTerm("headers")); headers != nil {
			f.read(rule, headers)
		}
		return false
	})
	f.searchHead(rule)
}

// isDenial tells whether the object says "allowed": false.
func isDenial(o ast.Object) bool {
	allowed := o.Get(ast.InternedTerm("allowed"))
	return allowed != nil && allowed.Value.Compare(ast.Boolean(false)) == 0
}

// searchHead reads rules such as headers := …, headers[name] := …, allow.headers[name] := ….
func (f *finder) searchHead(rule *ast.Rule) {
	for chain := rule; chain != nil; chain = chain.Else {
		ref := chain.Head.Ref()
		at := slices.IndexFunc(ref, func(t *ast.Term) bool { return isName(t, "headers") })
		switch {
		case at < 0:
		case at+1 < len(ref):
			f.add(ref[at+1])
		default:
			f.readHead(chain)
		}
	}
}

// isName compares a term of a head's reference, the first of which is a variable.
func isName(t *ast.Term, name string) bool {
	switch v := t.Value.(type) {
	case ast.Var:
		return string(v) == name
	case ast.String:
		return string(v) == name
	}
	return false
}

// readHead reads what a rule produces: its value, or the members of a set.
func (f *finder) readHead(rule *ast.Rule) {
	for chain := rule; chain != nil; chain = chain.Else {
		if f.seen[chain] {
			return
		}
		f.seen[chain] = true
		f.read(chain, chain.Head.Key)
		f.read(chain, chain.Head.Value)
	}
}

// read collects the names of an expression that flows into headers.
func (f *finder) read(rule *ast.Rule, t *ast.Term) {
	if t == nil {
		return
	}
	switch v := t.Value.(type) {
	case ast.Object:
		v.Foreach(func(key, _ *ast.Term) { f.add(key) })
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { f.read(rule, t) })
	case ast.Set:
		v.Foreach(func(t *ast.Term) { f.read(rule, t) })
	case *ast.ArrayComprehension:
		f.read(rule, v.Term)
	case *ast.SetComprehension:
		f.read(rule, v.Term)
	case *ast.ObjectComprehension:
		f.add(v.Key)
	case ast.Call:
		f.readCall(rule, v)
	case ast.Ref:
		f.readRef(rule, v)
	case ast.Var:
		f.readVar(rule, v)
	}
}

// readCall reads the operands, of whatever function, and what a function of the policy returns.
func (f *finder) readCall(rule *ast.Rule, call []*ast.Term) {
	for _, operand := range call[1:] {
		f.read(rule, operand)
	}
	f.read(rule, call[0])
}

// readRef reads what a reference leads to: rules, data, or something a variable holds.
func (f *finder) readRef(rule *ast.Rule, ref ast.Ref) {
	if !ref.HasPrefix(ast.DefaultRootRef) {
		f.read(rule, ref[0])
		return
	}
	for _, rule := range f.snapshot.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{}) {
		if full := rule.Ref(); len(full) > len(ref) {
			f.add(full[len(ref)]) // the rule makes one member of the object
			continue
		}
		f.readHead(rule)
	}
	f.readData(ref.ConstantPrefix())
}

func (f *finder) readData(ref ast.Ref) {
	at, err := storage.NewPathForRef(ref)
	if err != nil {
		return
	}
	value, err := f.snapshot.store.Read(context.Background(), f.snapshot.txn, at)
	if o, ok := value.(ast.Object); err == nil && ok && len(ref) > 1 {
		o.Foreach(func(key, _ *ast.Term) { f.add(key) })
	}
}

// readVar reads all that a variable is unified with or is the result of, anywhere in its rule.
func (f *finder) readVar(rule *ast.Rule, name ast.Var) {
	if f.seen[local{rule, name}] {
		return
	}
	f.seen[local{rule, name}] = true
	is := func(t *ast.Term) bool { v, ok := t.Value.(ast.Var); return ok && v == name }
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		terms, ok := e.Terms.([]*ast.Term)
		switch {
		case !ok:
		case e.IsEquality() && is(terms[1]):
			f.read(rule, terms[2])
		case e.IsEquality() && is(terms[2]):
			f.read(rule, terms[1])
		case is(terms[len(terms)-1]):
			f.readCall(rule, terms[:len(terms)-1])
		}
		return false
	})
}

// add adds a constant name that is a header's and may be removed.
func (f *finder) add(t *ast.Term) {
	text, ok := t.Value.(ast.String)
	if !ok {
		return
	}
	name, err := parseName(string(text))
	if err == nil && !describesMessage(name) {
		f.names[name] = true
	}
}

// describesMessage tells the headers that say how the message itself is to be read. Denials set
// them too, requests need theirs, and nobody is who he is because of one.
func describesMessage(name string) bool {
	switch name {
	case "cache-control", "connection", "date", "expires", "keep-alive", "pragma", "te", "trailer",
		"upgrade", "vary", "via", "warning":
		return true
	}
	return strings.HasPrefix(name, "content-")
}
