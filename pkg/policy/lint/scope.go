package lint

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A scope is what the variables of one use of a rule stand for.
type scope struct {
	shape
	program *program
	params  map[ast.Var]closure
}

// A bound is what a variable is equal to, or whose part it is, as in [a, b] := f(x).
type bound struct {
	term *ast.Term
	part bool
}

// A closure is an operand with the scope that it was written in.
type closure struct {
	term  *ast.Term
	scope *scope
}

// maxDepth bounds how far values are followed through variables and rules, and maxSteps how wide.
const (
	maxDepth = 12
	maxSteps = 200
)

// A shape is the part of a scope that is the same for each use of a rule.
type shape struct {
	binds map[ast.Var]bound
	used  map[ast.Var]int // how often a variable is written
}

func (p *program) scope(rule *ast.Rule, operands []*ast.Term, caller *scope) *scope {
	s := &scope{program: p, shape: p.shapeOf(rule)}
	for i, arg := range rule.Head.Args {
		if v, ok := arg.Value.(ast.Var); ok && i < len(operands) {
			if s.params == nil {
				s.params = map[ast.Var]closure{}
			}
			s.params[v] = closure{operands[i], caller}
		}
	}
	return s
}

func (p *program) shapeOf(rule *ast.Rule) shape {
	if s, ok := p.shapes[rule]; ok {
		return s
	}
	s := shape{binds: map[ast.Var]bound{}, used: map[ast.Var]int{}}
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		if terms, ok := e.Terms.([]*ast.Term); ok && len(terms) == 3 && isCall(terms, ast.Equality) && !e.Negated {
			s.bind(terms[1], terms[2])
			s.bind(terms[2], terms[1])
		}
		return false
	})
	ast.WalkVars(rule, func(v ast.Var) bool { s.used[v]++; return false })
	p.shapes[rule] = s
	return s
}

func isCall(terms []*ast.Term, b *ast.Builtin) bool {
	return len(terms) > 0 && terms[0].Value.Compare(b.Ref()) == 0
}

func (s shape) bind(left, right *ast.Term) {
	switch v := left.Value.(type) {
	case ast.Var:
		if _, ok := s.binds[v]; !ok {
			s.binds[v] = bound{term: right}
		}
	case *ast.Array:
		v.Foreach(func(t *ast.Term) {
			if part, ok := t.Value.(ast.Var); ok {
				s.binds[part] = bound{term: right, part: true}
			}
		})
	}
}

// values are the terms that a term stands for, each with its scope: through variables, operands and
// rules that are names for other things.
func (s *scope) values(t *ast.Term) []closure {
	f := &follower{left: maxSteps}
	return f.follow(t, s, maxDepth)
}

// A follower goes from names to what they stand for, as far as its steps reach.
type follower struct{ left int }

func (f *follower) follow(t *ast.Term, s *scope, depth int) []closure {
	if depth == 0 || s == nil || f.left == 0 {
		return nil
	}
	f.left--
	switch v := t.Value.(type) {
	case ast.Var:
		if b, ok := s.binds[v]; ok && !b.part {
			return f.follow(b.term, s, depth-1)
		}
		if c, ok := s.params[v]; ok {
			return f.follow(c.term, c.scope, depth-1)
		}
	case ast.Ref:
		return f.ref(t, v, s, depth)
	}
	return []closure{{t, s}}
}

func (f *follower) ref(t *ast.Term, ref ast.Ref, s *scope, depth int) []closure {
	if head, ok := ref[0].Value.(ast.Var); ok && !isRoot(head) {
		var out []closure
		for _, c := range f.follow(ref[0], s, depth-1) {
			base, ok := c.term.Value.(ast.Ref)
			if !ok {
				return []closure{{t, s}}
			}
			joined := ast.NewTerm(slices.Concat(base, ref[1:])).SetLocation(t.Location)
			out = append(out, closure{joined, c.scope})
		}
		if len(out) > 0 {
			return out
		}
	}
	rules, rest := s.program.find(ref)
	if len(rules) == 0 {
		return []closure{{t, s}}
	}
	return f.rules(closure{t, s}, rules, rest, depth)
}

// rules follows complete rules whose value is a name for something else.
func (f *follower) rules(from closure, rules []*ast.Rule, rest ast.Ref, depth int) []closure {
	var out []closure
	for _, rule := range rules {
		for _, branch := range chain(rule) {
			if branch.Head.Value == nil || len(branch.Head.Args) > 0 || len(branch.Head.Ref()) > len(constantPrefix(branch.Head.Ref())) {
				return []closure{from}
			}
			inner := from.scope.program.scope(branch, nil, nil)
			for _, c := range f.follow(branch.Head.Value, inner, depth-1) {
				base, ok := c.term.Value.(ast.Ref)
				if !ok {
					if len(rest) == 0 {
						out = append(out, c)
					}
					continue
				}
				out = append(out, closure{ast.NewTerm(slices.Concat(base, rest)).SetLocation(from.term.Location), c.scope})
			}
		}
	}
	if len(out) == 0 {
		return []closure{from}
	}
	return out
}

func isRoot(v ast.Var) bool {
	return v.Equal(ast.InputRootDocument.Value) || v.Equal(ast.DefaultRootDocument.Value)
}

// inputs are the places under input that a term may stand for, and nothing that is made of them.
func (s *scope) inputs(t *ast.Term) []closure {
	var out []closure
	for _, c := range s.values(t) {
		if ref, ok := c.term.Value.(ast.Ref); ok && ref.HasPrefix(ast.InputRootRef) {
			out = append(out, c)
		}
	}
	return out
}

// mentions calls f with every place under input that flows into a term.
func (s *scope) mentions(t *ast.Term, f func(ast.Ref)) {
	m := &mentions{found: f, keys: true, left: maxSteps, seen: map[*ast.Term]bool{}}
	m.walk(t, s, maxDepth)
}

// isOfInput tells whether a value is made of the input, and not only looked up by it.
func (s *scope) isOfInput(t *ast.Term) (found bool) {
	m := &mentions{found: func(ast.Ref) { found = true }, left: maxSteps, seen: map[*ast.Term]bool{}}
	m.walk(t, s, maxDepth)
	return found
}

type mentions struct {
	found func(ast.Ref)
	keys  bool // follow what a value is looked up by
	left  int  // steps
	seen  map[*ast.Term]bool
}

func (m *mentions) walk(t *ast.Term, s *scope, depth int) {
	if t == nil || s == nil || depth == 0 || m.left == 0 || m.seen[t] {
		return
	}
	m.seen[t] = true
	m.left--
	ast.WalkTerms(t, func(sub *ast.Term) bool {
		switch v := sub.Value.(type) {
		case ast.Var:
			m.variable(v, s, depth)
		case ast.Ref:
			m.ref(v, s, depth)
			for _, part := range v[1:] {
				if m.keys {
					m.walk(part, s, depth-1)
				}
			}
			return true
		}
		return false
	})
}

func (m *mentions) variable(v ast.Var, s *scope, depth int) {
	if b, ok := s.binds[v]; ok {
		m.walk(b.term, s, depth-1)
	}
	if c, ok := s.params[v]; ok {
		m.walk(c.term, c.scope, depth-1)
	}
}

func (m *mentions) ref(ref ast.Ref, s *scope, depth int) {
	if ref.HasPrefix(ast.InputRootRef) {
		m.found(ref)
		return
	}
	if v, ok := ref[0].Value.(ast.Var); ok && !isRoot(v) {
		for _, c := range s.inputs(ast.NewTerm(ref)) {
			if place, ok := c.term.Value.(ast.Ref); ok {
				m.found(place)
				return
			}
		}
		m.variable(v, s, depth)
		return
	}
	rules, rest := s.program.find(ref)
	for _, rule := range rules {
		for _, branch := range chain(rule) {
			inner := s.program.scope(branch, nil, nil)
			value := branch.Head.Value
			if base, ok := refOf(value); ok && len(rest) > 0 {
				value = ast.NewTerm(slices.Concat(base, rest))
			}
			m.walk(value, inner, depth-1)
			m.walk(branch.Head.Key, inner, depth-1)
		}
	}
}

func refOf(t *ast.Term) (ast.Ref, bool) {
	if t == nil {
		return nil, false
	}
	ref, ok := t.Value.(ast.Ref)
	return ref, ok
}
