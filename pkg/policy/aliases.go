package policy

import "github.com/open-policy-agent/opa/v1/ast"

// aliases are the variables of a rule that stand for a part of the input and for nothing else, as
// http does after "http := input.attributes.request.http": each is named once, and is otherwise
// only the head of references. So http.method reads the method, and not all of the request with
// its time and id, by which no two checks would be alike.
type aliases map[ast.Var]ast.Ref

// aliasesOf finds them. The compiler has given every variable of a rule a name of its own.
func aliasesOf(v visit) aliases {
	found, mentions := aliases{}, map[ast.Var]int{}
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Head:
			for _, term := range keys(x) {
				visitor.Walk(term)
			}
		case *ast.Expr:
			if name, ref, ok := naming(x); ok {
				found[name] = ref
			}
		case ast.Ref:
			if _, ok := x[0].Value.(ast.Var); !ok {
				return false
			}
			for _, term := range x[1:] {
				visitor.Walk(term)
			}
			return true
		case ast.Var:
			mentions[x]++
		}
		return false
	})
	v.parts(visitor.Walk)
	for name := range found {
		if mentions[name] != 1 {
			delete(found, name)
		}
	}
	return found
}

// base is the part of the input that a rule stands for, as http does after the rule
// "http := input.attributes.request.http"; nil where it is another rule, or not alone under its
// name: which of several has a value, and whether they agree, depends on all that they stand for.
func (f *readFinder) base(rule *ast.Rule) ast.Ref {
	head := rule.Head
	if rule.Default || rule.Else != nil || head.Value == nil || head.Key != nil || len(head.Args) > 0 ||
		!rule.Ref().IsGround() || len(f.rules(rule.Ref())) != 1 {
		return nil
	}
	if ref, ok := head.Value.Value.(ast.Ref); ok && isPath(ref) {
		return ref
	}
	name, ok := head.Value.Value.(ast.Var)
	if !ok {
		return nil
	}
	return aliasesOf(visit{rule, true})[name]
}

// keys are the terms in the name of a rule, which visitors leave out.
func keys(head *ast.Head) []*ast.Term {
	if len(head.Reference) == 0 {
		return nil
	}
	return head.Reference[1:]
}

// naming reads an expression that unifies a variable with a part of the input.
func naming(e *ast.Expr) (ast.Var, ast.Ref, bool) {
	if !e.IsEquality() || e.Negated || len(e.With) > 0 {
		return "", nil, false
	}
	left, right := e.Operand(0).Value, e.Operand(1).Value
	if _, ok := left.(ast.Ref); ok {
		left, right = right, left
	}
	name, isVar := left.(ast.Var)
	ref, isRef := right.(ast.Ref)
	if !isVar || !isRef || !isPath(ref) {
		return "", nil, false
	}
	return name, ref, true
}

// isPath tells whether a reference is to the input and has nothing but constant strings.
func isPath(ref ast.Ref) bool {
	return ref.HasPrefix(ast.InputRootRef) && len(stringPrefix(ref)) == len(ref)
}

// resolve puts what an alias stands for in its place.
func (a aliases) resolve(ref ast.Ref) ast.Ref {
	name, ok := ref[0].Value.(ast.Var)
	if !ok || a[name] == nil {
		return ref
	}
	return a[name].Concat(ref[1:])
}
