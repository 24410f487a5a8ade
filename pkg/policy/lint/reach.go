package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// reached lists the rules that the roots lead to, whatever they are for.
func (p *program) reached() map[*ast.Rule]bool {
	reached := map[*ast.Rule]bool{}
	var queue []*ast.Rule
	for _, root := range p.roots {
		queue = append(queue, p.readBy(root)...)
	}
	for len(queue) > 0 {
		rule := queue[0]
		queue = queue[1:]
		if reached[rule] {
			continue
		}
		reached[rule] = true
		ast.WalkRefs(rule, func(ref ast.Ref) bool {
			if ref.HasPrefix(ast.DefaultRootRef) {
				queue = append(queue, p.readBy(ref)...)
			}
			return false
		})
	}
	return reached
}

// readBy is all rules that a reference may read.
func (p *program) readBy(ref ast.Ref) []*ast.Rule {
	rules, _ := p.find(ref)
	return append(slices.Clone(rules), p.below(ref)...)
}

// checkReach reports the rules that no request reaches. Packages without an entrypoint are taken for
// libraries as soon as one of their rules is used: their other rules are for other policies, but for
// those whose names begin with "_".
func (p *program) checkReach(f *findings) {
	reached := p.reached()
	packages := map[string][]*ast.Module{}
	for _, m := range p.modules {
		packages[m.Package.Path.String()] = append(packages[m.Package.Path.String()], m)
	}
	for _, name := range util.KeysSorted(packages) {
		p.checkPackage(f, packages[name], reached)
	}
	for rule := range reached {
		checkBodies(f, rule)
	}
}

func (p *program) checkPackage(f *findings, modules []*ast.Module, reached map[*ast.Rule]bool) {
	path := modules[0].Package.Path
	used := slices.ContainsFunc(modules, func(m *ast.Module) bool {
		return slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return reached[r] })
	})
	switch {
	case isSystem(path), slices.ContainsFunc(modules, isLibrary):
		return
	case !used:
		if i := slices.IndexFunc(modules, func(m *ast.Module) bool { return len(m.Rules) > 0 }); i >= 0 {
			f.add(unreachableRule, modules[i].Package.Location, fmt.Sprintf("no entrypoint reaches package %v: its rules decide nothing", path))
		}
		return
	}
	asked := slices.ContainsFunc(p.roots, func(root ast.Ref) bool { return root.HasPrefix(path) })
	said := map[string]bool{}
	for _, m := range modules {
		for _, rule := range m.Rules {
			name := constantPrefix(fullRef(m, rule)).String()
			own, _ := rule.Head.Ref()[0].Value.(ast.Var)
			if reached[rule] || said[name] || strings.HasPrefix(string(own), "test_") || !asked && !strings.HasPrefix(string(own), "_") {
				continue
			}
			said[name] = true
			f.add(unreachableRule, rule.Location, fmt.Sprintf("no entrypoint reaches %s: it decides nothing", name))
		}
	}
}

// isSystem tells the packages that OPA itself reads, such as system.log.
func isSystem(path ast.Ref) bool {
	return len(path) > 1 && path[1].Value.Compare(ast.String("system")) == 0
}

func isLibrary(m *ast.Module) bool {
	return slices.ContainsFunc(m.Annotations, func(a *ast.Annotations) bool {
		return a.Scope == "package" && a.Custom["library"] == true
	})
}

// checkBodies reports bodies that can never hold.
func checkBodies(f *findings, rule *ast.Rule) {
	for _, branch := range chain(rule) {
		wanted := map[string]*ast.Term{}
		for _, e := range branch.Body {
			terms := expressionTerms(e)
			if e.Negated || rule.Default || len(terms) == 0 {
				continue
			}
			if len(terms) == 1 && isFalse(terms[0]) {
				f.add(unreachableRule, e.Location, "the rule can never hold: its body is false")
				continue
			}
			if contradicts(terms, wanted) {
				f.add(unreachableRule, e.Location, "the rule can never hold: two values are wanted of the same")
			}
		}
	}
}

// contradicts tells whether an expression wants another constant of a value than one before it.
func contradicts(terms []*ast.Term, wanted map[string]*ast.Term) bool {
	if len(terms) != 3 || !isCall(terms, ast.Equal) {
		return false
	}
	left, right := terms[1], terms[2]
	if ast.IsConstant(left.Value) {
		left, right = right, left
	}
	if !ast.IsConstant(right.Value) {
		return false
	}
	if ast.IsConstant(left.Value) {
		return !left.Equal(right)
	}
	ref, ok := refOf(left)
	if ok && !ref.IsGround() {
		return false
	}
	before, ok := wanted[left.String()]
	wanted[left.String()] = right
	return ok && !before.Equal(right)
}

// checkDeterminism reports builtins that do not always answer the same.
func (p *program) checkDeterminism(f *findings) {
	for rule := range p.reached() {
		ast.WalkTerms(rule, func(t *ast.Term) bool {
			ref, ok := refOf(t)
			if !ok {
				return false
			}
			if b, ok := ast.BuiltinMap[ref.String()]; ok && b.Nondeterministic && !isTokenClock(b) {
				f.add(nonDeterministic, t.Location, changing(b.Name))
			}
			return false
		})
	}
}

// isTokenClock tells the builtin that reads the clock because a token expires.
func isTokenClock(b *ast.Builtin) bool { return b.Name == ast.JWTDecodeVerify.Name }

func changing(builtin string) string {
	switch builtin {
	case "time.now_ns":
		return "time.now_ns: the same request gets another answer at another time, and no record can be replayed"
	case "http.send", "net.lookup_ip_addr":
		return builtin + ": the answer depends on another machine, on whoever can answer in its name, and on whether it is up"
	}
	return builtin + ": the same request does not always get the same answer"
}
