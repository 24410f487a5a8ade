package policy

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// A wording puts conditions on tokens into words.
type wording struct {
	known  map[string]bool // constants that may be shown, as Rego
	data   ast.Object      // others that may
	oneOf  bool            // several slots: a claim is named with its slot
	values map[ast.Var]*ast.Term
}

// newWording finds what may be shown.
func newWording(s *snapshot, req *authz.Request, id authz.Identity) *wording {
	w := &wording{known: map[string]bool{}, data: s.data, oneOf: len(id.Tokens) > 1}
	for _, module := range s.compiler.Modules {
		ast.WalkTerms(module, func(term *ast.Term) bool {
			w.show(term.Value)
			return false
		})
	}
	for slot := range id.Tokens {
		w.show(ast.String(slot))
	}
	for _, text := range []string{"tokens", "claims", "header", "status", "issuer", req.Source.Principal, req.Source.Address} {
		w.show(ast.String(text))
	}
	if req.HTTP != nil {
		w.show(ast.String(req.HTTP.Method))
		w.show(ast.String(req.HTTP.Host))
		last := ""
		for _, segment := range req.HTTP.Path.Segments {
			if mask.Segment(last, segment) == segment {
				w.show(ast.String(segment))
			}
			last = segment
		}
	}
	return w
}

func (w *wording) show(value ast.Value) {
	switch value.(type) {
	case ast.String, ast.Number:
		w.known[value.String()] = true
	}
}

// shown tells whether a constant may be shown.
func (w *wording) shown(value ast.Value) bool {
	text := value.String()
	if w.known[text] {
		return true
	}
	found := false
	ast.WalkTerms(w.data, func(term *ast.Term) bool {
		found = found || term.Value.Compare(value) == 0
		return found
	})
	w.known[text] = found
	return found
}

// body is a text for each condition; variables that stand for a value stand for it in all of them.
func (w *wording) body(body ast.Body) []string {
	w.values = map[ast.Var]*ast.Term{}
	var rest ast.Body
	for _, expr := range body {
		if !w.binds(expr) {
			rest = append(rest, expr)
		}
	}
	var out []string
	for _, expr := range rest {
		out = append(out, w.condition(expr))
	}
	if len(out) == 0 {
		for _, expr := range body {
			out = append(out, w.rego(expr))
		}
	}
	return out
}

// binds notes what a variable stands for: object.get(x, "a", …, v) is x.a, and x = v is x.
func (w *wording) binds(expr *ast.Expr) bool {
	if expr.Negated || !expr.IsCall() {
		return false
	}
	operands := expr.Operands()
	switch {
	case len(operands) == 4:
		variable, isVar := operands[3].Value.(ast.Var)
		from, ok := got(ast.Call{ast.NewTerm(expr.Operator()), operands[0], operands[1], operands[2]})
		if isVar && ok {
			w.values[variable] = from
			return true
		}
	case expr.IsEquality():
		for i, a := range operands {
			variable, isVar := a.Value.(ast.Var)
			if _, isRef := operands[1-i].Value.(ast.Ref); isVar && isRef {
				w.values[variable] = operands[1-i]
				return true
			}
		}
	}
	return false
}

func (w *wording) resolve(term *ast.Term) *ast.Term {
	switch v := term.Value.(type) {
	case ast.Call:
		if from, ok := got(v); ok {
			return from
		}
	case ast.Var:
		if value, ok := w.values[v]; ok {
			return value
		}
	case ast.Ref:
		if head, ok := v[0].Value.(ast.Var); ok {
			if ref, ok := w.values[head]; ok {
				if base, ok := ref.Value.(ast.Ref); ok {
					return ast.NewTerm(base.Concat(v[1:]))
				}
			}
		}
	}
	return term
}

// got is the reference that object.get(ref, "name", …) stands for.
func got(call ast.Call) (*ast.Term, bool) {
	if len(call) != 4 || call[0].String() != ast.ObjectGet.Name {
		return nil, false
	}
	from, isRef := call[1].Value.(ast.Ref)
	if _, isText := call[2].Value.(ast.String); !isRef || !isText {
		return nil, false
	}
	return ast.NewTerm(from.Append(call[2])), true
}

// condition is one expression in words, or in Rego.
func (w *wording) condition(expr *ast.Expr) string {
	if term, ok := expr.Terms.(*ast.Term); ok {
		if name, anyOf := w.subject(w.resolve(term)); name != "" && !anyOf {
			return name + pick(expr, " was set", " was not set")
		}
		return w.rego(expr)
	}
	operands := expr.Operands()
	if len(operands) == 3 && operands[2].Equal(ast.BooleanTerm(true)) {
		operands = operands[:2] // the result, which has to be true
	}
	if !expr.IsCall() || len(operands) != 2 {
		return w.rego(expr)
	}
	name := expr.Operator().String()
	a, b := w.resolve(operands[0]), w.resolve(operands[1])
	subject, anyOf := w.subject(a)
	object := b
	if subject == "" {
		subject, anyOf = w.subject(b)
		object, name = a, turned(name)
	}
	if subject == "" || !ast.IsConstant(object.Value) {
		return w.rego(expr)
	}
	if text := w.relation(expr, name, subject, anyOf, object); text != "" {
		return text
	}
	return w.rego(expr)
}

// turned is the relation that b has to a where a has this one to b; "" where there is no word for it.
func turned(name string) string {
	switch name {
	case "eq", "equal", "neq":
		return name
	case "lt":
		return "gt"
	case "gt":
		return "lt"
	case "lte":
		return "gte"
	case "gte":
		return "lte"
	case ast.Member.Name:
		return "has"
	}
	return ""
}

// relation says what holds between a part of a token, or any of its elements, and a constant.
//
//nolint:revive // what subject found is no control flag
func (w *wording) relation(expr *ast.Expr, name, subject string, anyOf bool, object *ast.Term) string {
	value := w.constant(object, subject)
	if anyOf {
		if name != "eq" && name != "equal" {
			return ""
		}
		return subject + pick(expr, " contained ", " did not contain ") + value
	}
	if slot, ok := strings.CutSuffix(subject, " status"); ok && (name == "eq" || name == "equal") {
		switch object.Value.String() {
		case `"valid"`:
			return slot + pick(expr, " was valid", " was not valid")
		case `"missing"`:
			return slot + pick(expr, " was missing", " was not missing")
		}
	}
	words, ok := map[string][2]string{
		"eq": {" was ", " was not "}, "equal": {" was ", " was not "}, "neq": {" was not ", " was "},
		"lt": {" was less than ", " was not less than "}, "gt": {" was more than ", " was not more than "},
		"lte": {" was at most ", " was not at most "}, "gte": {" was at least ", " was not at least "},
		"has":           {" contained ", " did not contain "},
		ast.Member.Name: {" was one of ", " was none of "},
		"startswith":    {" began with ", " did not begin with "},
		"endswith":      {" ended with ", " did not end with "},
		"contains":      {" had within it ", " did not have within it "},
	}[name]
	if !ok {
		return ""
	}
	return subject + pick(expr, words[0], words[1]) + value
}

func pick(expr *ast.Expr, positive, negated string) string {
	if expr.Negated {
		return negated
	}
	return positive
}

// subject names a part of a token: roles, "the issuer of the token users"; and tells whether it is any
// of that part's elements. It is "" for what is no token's.
func (w *wording) subject(term *ast.Term) (name string, anyOf bool) {
	ref, ok := term.Value.(ast.Ref)
	if !ok || len(ref) < 4 || !ref.HasPrefix(ast.MustParseRef("input.tokens")) {
		return "", false
	}
	if _, isVar := ref[len(ref)-1].Value.(ast.Var); isVar {
		ref, anyOf = ref[:len(ref)-1], true
	}
	var path []string
	for _, key := range ref[2:] {
		text, ok := key.Value.(ast.String)
		if !ok || !w.shown(text) {
			return "", false
		}
		path = append(path, string(text))
	}
	switch {
	case len(path) > 2 && path[1] == "claims" && !w.oneOf:
		return strings.Join(path[2:], "."), anyOf
	case len(path) > 2 && path[1] == "claims":
		return strings.Join(path[2:], ".") + " of " + path[0], anyOf
	case len(path) >= 2:
		if path[1] == "status" {
			return "the token " + path[0] + " status", anyOf
		}
		return strings.Join(path[1:], ".") + " of the token " + path[0], anyOf
	}
	return "", false
}

func (w *wording) constant(term *ast.Term, subject string) string {
	name, _, _ := strings.Cut(subject, " of ")
	if mask.Judge(name) == mask.Secret {
		return mask.Text
	}
	return w.masked(term.Copy(), w.shown)
}

// rego is an expression as it is, but for constants that may not be shown.
func (w *wording) rego(expr *ast.Expr) string {
	shown := w.shown
	ast.WalkRefs(expr, func(ref ast.Ref) bool {
		for _, key := range ref[1:] {
			if text, ok := key.Value.(ast.String); ok && text != "tokens" && mask.Judge(string(text)) == mask.Secret {
				shown = func(ast.Value) bool { return false }
			}
		}
		return false
	})
	return w.masked(expr.Copy(), shown)
}

// masked prints a copy, which it changes.
func (w *wording) masked(copied any, shown func(ast.Value) bool) string {
	made, err := ast.Transform(ast.NewGenericTransformer(func(x any) (any, error) {
		switch value := x.(type) {
		case ast.String:
			if free := mask.Free(string(value)); free != string(value) || !shown(value) {
				return ast.String(mask.Text), nil
			}
		case ast.Number:
			if !shown(value) {
				return ast.String(mask.Text), nil
			}
		}
		return x, nil
	}), copied)
	if err != nil {
		return mask.Text
	}
	return fmt.Sprint(made)
}
