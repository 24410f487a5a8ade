package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

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
	f := finder{snapshot: s, rules: s.reachable(), names: map[string]bool{}, seen: map[place]bool{}}
	for _, rule := range f.rules {
		f.search(rule)
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
			if rule, ok := dependency.(*ast.Rule); ok {
				queue = append(queue, rule)
			}
		}
		if rule.Else != nil {
			queue = append(queue, rule.Else)
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// A finder collects the constant names of headers from compiled rules. It reads too much rather
// than too little: every branch, every operand of a call.
type finder struct {
	snapshot *snapshot
	rules    []*ast.Rule // that the entrypoint reaches
	names    map[string]bool
	seen     map[place]bool
}

// A place is a rule, or a variable of it, of which a member is read.
type place struct {
	rule   *ast.Rule
	name   ast.Var
	member string
}

// visit tells whether the place is new. Rego has no recursion, but variables that are unified
// lead to one another.
func (f *finder) visit(rule *ast.Rule, name ast.Var, member ast.Ref) bool {
	p := place{rule, name, member.String()}
	old := f.seen[p]
	f.seen[p] = true
	return !old
}

// search finds where a rule speaks of headers: in the answer's object, or in its own name.
func (f *finder) search(rule *ast.Rule) {
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		o, ok := t.Value.(ast.Object)
		if !ok {
			return false
		}
		if isDenial(o) {
			return true
		}
		f.read(rule, o.Get(ast.InternedTerm("headers")), nil)
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
	ref := rule.Head.Ref()
	at := slices.IndexFunc(ref, func(t *ast.Term) bool {
		return t.Value.Compare(ast.Var("headers")) == 0 || t.Value.Compare(ast.String("headers")) == 0
	})
	switch {
	case at < 0:
	case at+1 < len(ref):
		f.add(ref[at+1])
	default:
		f.readHead(rule, nil)
	}
}

// readHead reads what a rule produces: a member of its value, or of the items of a set.
func (f *finder) readHead(rule *ast.Rule, member ast.Ref) {
	for chain := rule; chain != nil && f.visit(chain, "", member); chain = chain.Else {
		f.read(chain, chain.Head.Value, member)
		if chain.Head.RuleKind() == ast.MultiValue {
			f.read(chain, chain.Head.Key, rest(member))
		}
	}
}

// read collects the names of an expression, or of a member of it, that flows into headers. What
// has items stands for each of them.
func (f *finder) read(rule *ast.Rule, t *ast.Term, member ast.Ref) {
	if t == nil {
		return
	}
	switch v := t.Value.(type) {
	case ast.Object:
		f.readObject(rule, v, member)
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { f.read(rule, t, rest(member)) })
	case ast.Set:
		v.Foreach(func(t *ast.Term) { f.read(rule, t, rest(member)) })
	case *ast.ArrayComprehension:
		f.read(rule, v.Term, rest(member))
	case *ast.SetComprehension:
		f.read(rule, v.Term, rest(member))
	case *ast.ObjectComprehension:
		f.readObject(rule, ast.NewObject([2]*ast.Term{v.Key, v.Value}), member)
	case ast.Ref:
		f.readRef(rule, v, member)
	case ast.Var:
		f.readVar(rule, v, member)
	}
}

func (f *finder) readObject(rule *ast.Rule, o ast.Object, member ast.Ref) {
	o.Foreach(func(key, value *ast.Term) {
		switch {
		case len(member) == 0:
			f.add(key)
		case may(key, member[0]):
			f.read(rule, value, member[1:])
		}
	})
}

// may tells whether two keys can be the same: equal constants, or one of them unknown.
func may(a, b *ast.Term) bool {
	return !ast.IsConstant(a.Value) || !ast.IsConstant(b.Value) || a.Equal(b)
}

func rest(member ast.Ref) ast.Ref {
	if len(member) == 0 {
		return nil
	}
	return member[1:]
}

// readRef reads what a reference leads to: rules, data, or something a variable holds.
func (f *finder) readRef(rule *ast.Rule, ref, member ast.Ref) {
	ref = slices.Concat(ref, member)
	if !ref.HasPrefix(ast.DefaultRootRef) {
		f.read(rule, ref[0], ref[1:])
		return
	}
	for _, target := range f.snapshot.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{}) {
		full := target.Ref()
		if len(full) > len(ref) {
			f.add(full[len(ref)]) // the rule makes one member of the object
			continue
		}
		f.readHead(target, ref[len(full):])
	}
	f.readObject(nil, f.snapshot.data, ref[1:])
}

// readVar reads all that a variable is unified with or is the result of, anywhere in its rule,
// and what the callers of a function give it.
func (f *finder) readVar(rule *ast.Rule, name ast.Var, member ast.Ref) {
	if rule == nil || !f.visit(rule, name, member) {
		return
	}
	is := func(t *ast.Term) bool { return t.Value.Compare(name) == 0 }
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		terms, ok := e.Terms.([]*ast.Term)
		switch {
		case !ok:
		case e.IsEquality() && is(terms[1]):
			f.read(rule, terms[2], member)
		case e.IsEquality() && is(terms[2]):
			f.read(rule, terms[1], member)
		case is(terms[len(terms)-1]):
			f.readCall(rule, terms[:len(terms)-1], member)
		}
		return false
	})
	for i, argument := range rule.Head.Args {
		if is(argument) {
			f.readCallers(rule.Ref(), i+1, member)
		}
	}
}

// readCall reads what a function of the policy returns, and the operands of any other. Of
// object.get the operand is read where it gets from.
func (f *finder) readCall(rule *ast.Rule, call []*ast.Term, member ast.Ref) {
	operator, ok := call[0].Value.(ast.Ref)
	switch {
	case !ok:
	case operator.HasPrefix(ast.DefaultRootRef):
		f.readRef(rule, operator, member)
	case operator.Equal(ast.ObjectGet.Ref()):
		f.read(rule, call[1], slices.Concat(gotten(call[2]), member))
		f.read(rule, call[3], member)
	default:
		for _, operand := range call[1:] {
			f.read(rule, operand, member)
			f.read(rule, operand, slices.Concat(ast.Ref{ast.VarTerm("_")}, member)) // as in object.union_n
		}
	}
}

// gotten is the key of object.get, or its path.
func gotten(key *ast.Term) ast.Ref {
	path, ok := key.Value.(*ast.Array)
	if !ok {
		return ast.Ref{key}
	}
	var keys ast.Ref
	path.Foreach(func(t *ast.Term) { keys = append(keys, t) })
	return keys
}

// readCallers reads an operand of every call of a function.
func (f *finder) readCallers(function ast.Ref, operand int, member ast.Ref) {
	for _, rule := range f.rules {
		ast.WalkExprs(rule, func(e *ast.Expr) bool {
			if terms, ok := e.Terms.([]*ast.Term); ok && e.Operator().Equal(function) && operand < len(terms) {
				f.read(rule, terms[operand], member)
			}
			return false
		})
	}
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
