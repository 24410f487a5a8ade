package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads says what an entrypoint can see besides its data: the parts of the input that its rules
// speak of, and whether it calls a builtin that may answer otherwise another time.
//
// It is found from the compiled rules. Every mention of input counts, whether it is reached or not:
// in heads and bodies, operands, comprehensions, the targets and values of "with". Imports are
// gone by then, and so are names for constants. A reference reads what its leading constant
// strings lead to, and all below. Input without a path, as in walk(input) or "i := input", reads
// all. So what a reference can reach is in the document, and what is not there is read by none.
type reads struct {
	input         part
	deterministic bool
	unrecorded    string // a builtin of which OPA cannot keep the answers for a record
}

// A part is a place of the input document, and how much of it is read. The zero value reads of
// an object only that it is one, and of any other value all.
type part struct {
	whole   bool
	members []member // what is read of an object, sorted by name
}

type member struct {
	name string
	part *part
}

// at is the part under a name; nil where nothing of it is read.
func (p *part) at(name string) *part {
	if p == nil || p.whole {
		return p
	}
	for i := range p.members {
		if p.members[i].name == name {
			return p.members[i].part
		}
	}
	return nil
}

// add reads what a path leads to, and of an object there nothing below.
func (p *part) add(path ast.Ref) *part {
	for _, key := range path {
		if p.whole {
			return p
		}
		name := string(key.Value.(ast.String)) //nolint:forcetypeassert,errcheck // see stringPrefix
		at, found := slices.BinarySearchFunc(p.members, name, func(m member, name string) int { return strings.Compare(m.name, name) })
		if !found {
			p.members = slices.Insert(p.members, at, member{name, &part{}})
		}
		p = p.members[at].part
	}
	return p
}

// below reads all that is there.
func (p *part) below() { p.whole, p.members = true, nil }

// everything is what is read where it is not known, or not asked.
func everything() reads { return reads{input: part{whole: true}} }

// findReads looks through the entrypoint and all rules that can be reached from it.
func (s *snapshot) findReads() reads { return s.newReadFinder().find() }

func (s *snapshot) newReadFinder() *readFinder {
	return &readFinder{snapshot: s, withData: s.replacesData(), compiler: s.compiler, seen: map[visit]bool{}, found: reads{deterministic: true}}
}

func (f *readFinder) find() reads {
	f.reach(f.snapshot.entrypoint)
	for len(f.queue) > 0 {
		next := f.queue[0]
		f.queue = f.queue[1:]
		f.aliases = aliasesOf(next)
		next.parts(f.walk)
	}
	return f.found
}

type readFinder struct {
	snapshot *snapshot
	withData bool // a "with" may replace what constants were computed from
	compiler *ast.Compiler
	seen     map[visit]bool
	queue    []visit
	aliases  aliases // of the rule that is walked
	found    reads
	mentions *mentions // which expression reads what; nil: nobody wants to know
}

// A visit is of a rule. As an alias, its value is not looked at: who refers to it does that.
type visit struct {
	rule    *ast.Rule
	asAlias bool
}

// parts hands out what is looked at.
func (v visit) parts(walk func(x any)) {
	if !v.asAlias {
		walk(v.rule)
		return
	}
	walk(v.rule.Body)
}

// reach adds the rules that a reference may lead to.
func (f *readFinder) reach(ref ast.Ref) {
	for _, rule := range f.rules(ref) {
		if !f.withData && f.snapshot.ruledOut(rule) {
			continue
		}
		base, name := f.base(rule), rule.Ref()
		next := visit{rule, base != nil && ref.HasPrefix(name)}
		if next.asAlias {
			f.all(stringPrefix(base.Concat(ref[len(name):])))
		}
		if !f.seen[next] {
			f.seen[next] = true
			f.queue = append(f.queue, next)
		}
	}
}

func (f *readFinder) rules(ref ast.Ref) []*ast.Rule {
	return f.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true})
}

func (f *readFinder) walk(x any) {
	ast.NewGenericVisitor(f.visit).Walk(x)
}

// visit tells whether it has looked at what is below x itself.
func (f *readFinder) visit(x any) bool {
	switch x := x.(type) {
	case *ast.Head:
		for _, term := range keys(x) {
			f.walk(term)
		}
	case *ast.Expr:
		if f.mentions.enter(x) {
			f.walk(x)
			f.mentions.leave()
			return true
		}
		return f.condition(x) || f.alias(x)
	case ast.Ref:
		f.ref(f.aliases.resolve(x))
		return true
	case ast.Var: // not the head of a reference
		if ast.RootDocumentNames.Contains(ast.NewTerm(x)) {
			f.ref(ast.Ref{ast.NewTerm(x)})
		}
	}
	return false
}

// condition reads an expression that is nothing but a reference. It asks whether there is such a
// value, and one other than false; of an object, nothing below matters.
func (f *readFinder) condition(e *ast.Expr) bool {
	term, ok := e.Terms.(*ast.Term)
	if !ok || len(e.With) > 0 {
		return false
	}
	ref, ok := term.Value.(ast.Ref)
	if !ok || !isPath(ref) {
		return false
	}
	f.some(ref)
	return true
}

// alias reads an expression that names a part of input for what follows. It asks whether there is
// such a part; what is read of it is where the name stands.
func (f *readFinder) alias(e *ast.Expr) bool {
	name, ref, ok := naming(e)
	if !ok || f.aliases[name] == nil {
		return false
	}
	f.some(ref)
	return true
}

// some reads of an object only that it is there, and of any other value all.
func (f *readFinder) some(path ast.Ref) {
	f.found.input.add(path[1:])
	f.mentions.add(path[1:], someOf)
}

// all reads what is there.
func (f *readFinder) all(path ast.Ref) {
	f.found.input.add(path[1:]).below()
	f.mentions.add(path[1:], allOf)
}

func (f *readFinder) ref(ref ast.Ref) {
	switch {
	case ref[0].Equal(ast.InputRootDocument):
		f.all(stringPrefix(ref))
	case ref[0].Equal(ast.DefaultRootDocument):
		f.reach(ref)
	case isNondeterministic(ref.String()):
		f.found.deterministic = false
		if b := ast.BuiltinMap[ref.String()]; !b.Nondeterministic {
			f.found.unrecorded = b.Name
		}
		f.mentions.call(ref.String())
	default:
		f.walk(ref[0])
	}
	for _, term := range ref[1:] {
		f.walk(term)
	}
}

// stringPrefix is the head of a reference with the constant strings after it.
func stringPrefix(ref ast.Ref) ast.Ref {
	for i, term := range ref[1:] {
		if _, ok := term.Value.(ast.String); !ok {
			return ref[:i+1]
		}
	}
	return ref
}
