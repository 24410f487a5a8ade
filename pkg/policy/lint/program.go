package lint

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/sallyport/sallyport/pkg/policy"
)

// A program is a policy whose names are whole: references begin with data, input or a variable, and
// a variable that is declared has a name that no other has. Calls are nested as they were written.
type program struct {
	modules     []*ast.Module
	rules       map[string][]*ast.Rule // by the constant beginning of their references
	entrypoints []ast.Ref
	roots       []ast.Ref           // the entrypoints, and the rules that say they are some
	known       map[string]facts    // of rules, by their references and operands
	bodies      map[*ast.Expr]facts // where they hold, by their first expression
	asked       map[*ast.Rule]int   // in how many ways known was asked for
	shapes      map[*ast.Rule]shape
	written     map[ast.Var]ast.Var // variables, as the author wrote them
}

func resolve(r *policy.Reading) (*program, error) {
	p := &program{rules: map[string][]*ast.Rule{}, known: map[string]facts{}, asked: map[*ast.Rule]int{}, bodies: map[*ast.Expr]facts{}, shapes: map[*ast.Rule]shape{}, entrypoints: r.Entrypoints}
	compiler := ast.NewCompiler().
		WithCapabilities(r.Capabilities).
		WithStageAfterID(ast.StageRewritePrintCalls, ast.CompilerStageDefinition{
			Name: "Lint", MetricName: "lint", Stage: func(c *ast.Compiler) *ast.Error { p.keep(c.Modules); return nil },
		})
	modules := map[string]*ast.Module{}
	for name, module := range r.Modules {
		if !isTest(module) {
			modules[name] = module
		}
	}
	if compiler.Compile(modules); compiler.Failed() {
		return nil, policy.CompileError(compiler.Errors)
	}
	p.written = compiler.RewrittenVars
	p.index()
	return p, nil
}

// isTest tells a module of tests by its package; files are told by their name before.
func isTest(m *ast.Module) bool {
	last, ok := m.Package.Path[len(m.Package.Path)-1].Value.(ast.String)
	return ok && strings.HasSuffix(string(last), "_test")
}

// keep copies the modules, which the compiler goes on to change.
func (p *program) keep(modules map[string]*ast.Module) {
	for _, name := range util.KeysSorted(modules) {
		p.modules = append(p.modules, modules[name].Copy())
	}
}

func (p *program) index() {
	for _, m := range p.modules {
		for _, rule := range m.Rules {
			at := constantPrefix(fullRef(m, rule)).String()
			p.rules[at] = append(p.rules[at], rule)
		}
	}
	p.roots = slices.Clone(p.entrypoints)
	for _, m := range p.modules {
		for _, note := range m.Annotations {
			if note.Entrypoint {
				p.roots = append(p.roots, target(m, note))
			}
		}
	}
}

// target is what an annotation speaks of: the rule that begins after it, else its package.
func target(m *ast.Module, note *ast.Annotations) ast.Ref {
	if note.Scope == "rule" || note.Scope == "document" {
		for _, rule := range m.Rules {
			if rule.Location != nil && note.Location != nil && rule.Location.Row > note.Location.Row {
				return constantPrefix(fullRef(m, rule))
			}
		}
	}
	return m.Package.Path
}

func fullRef(m *ast.Module, rule *ast.Rule) ast.Ref {
	ref := slices.Clone(rule.Head.Ref())
	if ref[0].Value.Compare(ast.DefaultRootDocument.Value) == 0 {
		return ref
	}
	if v, ok := ref[0].Value.(ast.Var); ok {
		ref[0] = ast.StringTerm(string(v))
	}
	return slices.Concat(m.Package.Path, ref)
}

// constantPrefix is a reference up to its first part that is no constant.
func constantPrefix(ref ast.Ref) ast.Ref {
	for i, part := range ref {
		if i > 0 && !ast.IsConstant(part.Value) {
			return ref[:i]
		}
	}
	return ref
}

// find is the rules that a reference reads, and what it reads of their value. Nothing of a rule is
// left to read where the rule makes only a part of what the reference names.
func (p *program) find(ref ast.Ref) (rules []*ast.Rule, rest ast.Ref) {
	constant := constantPrefix(ref)
	for n := len(constant); n > 1; n-- {
		if rules := p.rules[constant[:n].String()]; len(rules) > 0 {
			return rules, ref[n:]
		}
	}
	return nil, nil
}

// below is the rules under a reference that is a package, or the beginning of rules' references.
func (p *program) below(ref ast.Ref) []*ast.Rule {
	prefix := constantPrefix(ref).String()
	var rules []*ast.Rule
	for _, at := range util.KeysSorted(p.rules) {
		if rest, ok := strings.CutPrefix(at, prefix); ok && rest != "" && strings.ContainsAny(rest[:1], ".[") {
			rules = append(rules, p.rules[at]...)
		}
	}
	return rules
}

// chain is a rule and its else branches.
func chain(rule *ast.Rule) []*ast.Rule {
	var all []*ast.Rule
	for ; rule != nil; rule = rule.Else {
		all = append(all, rule)
	}
	return all
}
