package prove

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"

	"github.com/sallyport/sallyport/pkg/policy"
)

// call calls k for each result of a call, of a builtin or of a function of the policy.
func (r *run) call(f *frame, terms []*ast.Term, k func() error) error {
	ref, ok := terms[0].Value.(ast.Ref)
	if !ok {
		return r.obstacle("a call of no name")
	}
	declared := r.arity(ref)
	if declared < 0 {
		return r.obstacle(fmt.Sprintf("the function %v is not found", ref))
	}
	operands := terms[1 : 1+declared]
	result := func(value *ast.Term) error {
		if len(terms) > 1+declared {
			return r.match(f, terms[1+declared], value, k)
		}
		isFalse, err := r.equal(value, ast.BooleanTerm(false))
		if err != nil || isFalse {
			return err
		}
		return k()
	}
	return r.terms(f, operands, nil, func(values []*ast.Term) error {
		if !ref.HasPrefix(ast.DefaultRootRef) {
			return r.builtin(ast.BuiltinMap[ref.String()], values, result)
		}
		value, err := r.function(ref, values)
		if err != nil || value == nil {
			return err
		}
		return result(value)
	})
}

// arity is how many operands a function has, -1 where there is none.
func (r *run) arity(ref ast.Ref) int {
	if !ref.HasPrefix(ast.DefaultRootRef) {
		if b := ast.BuiltinMap[ref.String()]; b != nil {
			return b.Decl.Arity()
		}
		return -1
	}
	node := r.compiler.RuleTree.Find(ref)
	if node == nil || len(node.Values) == 0 {
		return -1
	}
	return len(node.Values[0].Head.Args)
}

// builtin calls k with each result of a builtin. One that fails is undefined here: where the engine comes to
// the failure, it denies.
func (r *run) builtin(b *ast.Builtin, operands []*ast.Term, k func(*ast.Term) error) error {
	ground := true
	for i := range operands {
		var known bool
		operands[i], known = r.plain(operands[i])
		ground = ground && known
	}
	if policy.IsNondeterministic(b.Name) {
		return r.otherwise(b, k)
	}
	if ground {
		return r.evaluate(b, operands, k)
	}
	if handled := handlers[b.Name]; handled != nil {
		value, err := handled(r, operands)
		if err == nil && value != nil {
			return k(value)
		}
		if !errors.Is(err, errUnhandled) {
			return err
		}
	}
	return r.apply(b, operands, k)
}

// otherwise is a builtin that may answer otherwise another time: anything of its type, or nothing.
func (r *run) otherwise(b *ast.Builtin, k func(*ast.Term) error) error {
	name := fmt.Sprintf("%s %d", b.Name, len(r.order))
	value := r.unknown(name, b.Name+" may answer otherwise another time", kindsOf(b.Decl.Result()))
	if b.Relation || !r.assume("there("+name+")") {
		return nil
	}
	return k(value)
}

// evaluate calls a builtin whose operands are known.
func (r *run) evaluate(b *ast.Builtin, operands []*ast.Term, k func(*ast.Term) error) error {
	results, err := results(b.Name, operands)
	if err != nil {
		return nil //nolint:nilerr // undefined
	}
	for _, value := range results {
		if err := k(value); err != nil {
			return err
		}
	}
	return nil
}

// results are what a builtin of known operands gives.
func results(name string, operands []*ast.Term) (out []*ast.Term, err error) {
	call := topdown.GetBuiltin(name)
	if call == nil {
		return nil, fmt.Errorf("prove: %s: not implemented", name)
	}
	err = call(topdown.BuiltinContext{Cancel: topdown.NewCancel()}, operands, func(t *ast.Term) error {
		out = append(out, t)
		return nil
	})
	return out, err
}

// apply makes the result of a builtin of operands that are not known a symbol: it may be whatever the builtin
// can give, the same for the same operands, or undefined where it can fail.
func (r *run) apply(b *ast.Builtin, operands []*ast.Term, k func(*ast.Term) error) error {
	if b.Relation {
		return r.obstacle(b.Name + " of a value that is not known")
	}
	for _, o := range operands {
		if each := r.eachIn(o); each != nil {
			return &eachError{each}
		}
	}
	name := fmt.Sprintf("%s(%s)", b.Name, list(operands))
	if !r.never(b, operands) && !r.assume("there("+name+")") {
		return nil
	}
	if r.symbols[name] == nil {
		r.note(b.Name + " of a value that is not known")
	}
	sh := whatever(kindsOf(b.Decl.Result()))
	if of, ok := b.Decl.Result().(*types.Array); ok && of.Dynamic() != nil && of.Len() == 0 {
		sh.items = whatever(kindsOf(of.Dynamic()))
	}
	s := r.symbol(name, sh)
	if s.from == nil {
		s.from = &application{b.Name, operands}
	}
	return k(r.now(s.term()))
}

// never tells whether a builtin cannot fail for these operands: texts, where it is one that takes any.
func (r *run) never(b *ast.Builtin, operands []*ast.Term) bool {
	if !slices.Contains(total, b.Name) {
		return false
	}
	for i, o := range operands {
		k := kindOf(o.Value)
		if s := r.symbolOf(o); s != nil {
			k = s.kinds
		}
		if i < b.Decl.Arity() && k&^kindsOf(b.Decl.FuncArgs().Arg(i)) != 0 {
			return false
		}
	}
	return true
}

// total are the builtins that give something for all operands of the types that they take.
var total = []string{
	"lower", "upper", "trim", "trim_left", "trim_right", "trim_prefix", "trim_suffix", "trim_space", "replace", "split",
	"startswith", "endswith", "contains", "plus", "minus", "mul", "abs", "ceil", "floor", "round", "json.marshal",
	"union", "intersection", "and", "or", "object.union", "array.concat", "array.reverse", "type_name", "sort",
}

func list(terms []*ast.Term) string {
	texts := make([]string, len(terms))
	for i, t := range terms {
		texts[i] = t.String()
	}
	return strings.Join(texts, ", ")
}
