package lint

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// call walks a call, whose first term is its operator. The expression is nil where the call is an
// operand of another.
func (w *walker) call(e *ast.Expr, terms []*ast.Term, u use) {
	w.tokens.note(terms, u)
	if e != nil {
		w.look(e, terms, u)
	}
	op, ok := refOf(terms[0])
	if !ok {
		return
	}
	if e != nil && isAssignment(terms) {
		w.assign(terms, u)
		return
	}
	if set, empty, ok := asEmptiness(terms, u.scope); ok {
		members := u.sign
		if empty {
			members = -members
		}
		w.members(set, members, u)
		return
	}
	if t, flip, ok := asTruth(terms); ok {
		w.truth(t, flip*u.sign, u)
		return
	}
	rules, _ := w.program.find(op)
	w.rules(rules, terms[1:], u)
	w.fallible(e, terms, u)
	for _, operand := range terms[1:] {
		w.term(operand, u)
	}
}

// isAssignment tells "v = …" from a comparison: one side is a variable, or a list of them.
func isAssignment(terms []*ast.Term) bool {
	if len(terms) != 3 || !isCall(terms, ast.Equality) {
		return false
	}
	switch terms[1].Value.(type) {
	case ast.Var, *ast.Array:
		return true
	}
	_, ok := terms[2].Value.(ast.Var)
	return ok
}

// assign walks both sides. What a comprehension leads to shows where its variable is used.
func (w *walker) assign(terms []*ast.Term, u use) {
	for _, t := range terms[1:] {
		if _, isVar := t.Value.(ast.Var); !isVar && !isComprehension(t) {
			w.term(t, u)
		}
	}
}

// asTruth reads x == false, x != true and their kin; flip is -1 where x must be false.
func asTruth(terms []*ast.Term) (t *ast.Term, flip sign, ok bool) {
	if len(terms) != 3 {
		return nil, 0, false
	}
	equal := isCall(terms, ast.Equal) || isCall(terms, ast.Equality)
	if !equal && !isCall(terms, ast.NotEqual) {
		return nil, 0, false
	}
	for i, side := range terms[1:] {
		switch b, isBool := side.Value.(ast.Boolean); {
		case isBool && bool(b) == equal:
			return terms[2-i], 1, true
		case isBool:
			return terms[2-i], -1, true
		}
	}
	return nil, 0, false
}

// truth walks a rule that is asked whether it is true, or false. A request that lacks what it needs
// makes it false, where it has a default.
func (w *walker) truth(t *ast.Term, holds sign, u use) {
	if ref, ok := refOf(t); ok {
		if rules, rest := w.program.find(ref); len(rules) > 0 && len(rest) == 0 {
			u.sign, u.behind = holds, u.behind && holds == u.sign
			w.rules(rules, nil, u)
			return
		}
	}
	w.term(t, u)
}

// asEmptiness reads count(x) == 0, x == set() and their kin, and count(x) > 0 and its kin.
func asEmptiness(terms []*ast.Term, s *scope) (set *ast.Term, empty, ok bool) {
	if len(terms) != 3 {
		return nil, false, false
	}
	left, right, op := terms[1], terms[2], terms[0].Value.String()
	if ast.IsConstant(left.Value) {
		left, right, op = right, left, mirrored(op)
	}
	if isEmptyCollection(right) && (op == "equal" || op == "eq" || op == "neq") {
		return left, op != "neq", true
	}
	counted, isCount := s.counted(left)
	n, isNumber := right.Value.(ast.Number)
	if !isCount || !isNumber {
		return nil, false, false
	}
	switch {
	case op == "lt", op == "lte", (op == "equal" || op == "eq") && n == "0":
		return counted, true, true
	case op == "gt", op == "gte", op == "neq" && n == "0":
		return counted, false, true
	}
	return nil, false, false
}

func mirrored(op string) string {
	switch op {
	case "lt":
		return "gt"
	case "gt":
		return "lt"
	case "lte":
		return "gte"
	case "gte":
		return "lte"
	}
	return op
}

// counted is x of count(x), also through a variable.
func (s *scope) counted(t *ast.Term) (*ast.Term, bool) {
	if v, ok := t.Value.(ast.Var); ok && s.binds[v].term != nil {
		t = s.binds[v].term
	}
	call, ok := t.Value.(ast.Call)
	if !ok || len(call) != 2 || !isCall(call, ast.Count) {
		return nil, false
	}
	return call[1], true
}

func isEmptyCollection(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Len() == 0
	case ast.Set:
		return v.Len() == 0
	case ast.Object:
		return v.Len() == 0
	case ast.Call: // set()
		return len(v) == 1 && v[0].Value.String() == "set"
	}
	return false
}

// members walks what the members of a collection lead to. The collection itself must have a value for
// the expression of the use.
func (w *walker) members(t *ast.Term, members sign, u use) {
	inside := u
	inside.sign, inside.behind = members, false
	switch v := t.Value.(type) {
	case ast.Var:
		if b, ok := u.binds[v]; ok && !b.part {
			w.members(b.term, members, u)
		}
	case ast.Call:
		w.combined(v, members, u)
	case ast.Ref:
		w.ruleMembers(t, v, members, u)
	default:
		if isComprehension(t) {
			w.term(t, inside)
			return
		}
		w.term(t, u)
	}
}

// combined walks a - b, a & b and a | b: more in b of a - b is less in all.
func (w *walker) combined(call ast.Call, members sign, u use) {
	sets := []*ast.Builtin{ast.Minus, ast.And, ast.Or}
	if len(call) != 3 || !slices.ContainsFunc(sets, func(b *ast.Builtin) bool { return isCall(call, b) }) {
		w.call(nil, call, u)
		return
	}
	w.members(call[1], members, u)
	if isCall(call, ast.Minus) {
		members = -members
	}
	w.members(call[2], members, u)
}

// ruleMembers walks the rules that add members, and the values of those that make a collection at once.
func (w *walker) ruleMembers(t *ast.Term, ref ast.Ref, members sign, u use) {
	rules, rest := w.program.find(ref)
	if len(rules) == 0 || len(rest) > 0 {
		w.term(t, u)
		return
	}
	inside := u
	inside.sign, inside.behind = members, false
	var adding, others []*ast.Rule
	for _, rule := range rules {
		switch {
		case rule.Head.RuleKind() == ast.MultiValue, len(constantPrefix(rule.Head.Ref())) < len(rule.Head.Ref()):
			adding = append(adding, rule)
		default:
			others = append(others, rule)
		}
	}
	w.rules(adding, nil, inside)
	for _, rule := range others {
		w.collected(rule, members, u)
	}
}

// collected walks a rule that makes a whole collection.
func (w *walker) collected(rule *ast.Rule, members sign, u use) {
	if rule.Default || rule.Head.Value == nil {
		return
	}
	for _, branch := range chain(rule) {
		if !isComprehension(branch.Head.Value) {
			w.branch(branch, nil, nil, u)
			continue
		}
		inner := use{scope: w.program.scope(branch, nil, nil), sign: u.sign, facts: u.facts, at: branch.Location}
		if w.isNew(branch, inner) {
			w.body(branch.Body, inner)
			w.members(branch.Head.Value, members, inner)
		}
	}
}

// fallible reports a negated call that fails on odd operands, which the client brings.
func (w *walker) fallible(e *ast.Expr, terms []*ast.Term, u use) {
	if !u.behind || !slices.Contains(canFail, terms[0].Value.String()) {
		return
	}
	at := terms[0].Location
	if e != nil {
		at = e.Location
	}
	for _, operand := range terms[1:] {
		for _, p := range u.places(operand) {
			if isText(p) && !isVerified(p) {
				w.findings.add(negatedUndefined, at, terms[0].Value.String()+" fails on texts that a client can send: here the request is then denied, but opa-envoy-plugin allows it")
			}
		}
	}
}

// canFail are builtins that fail on texts of another form than they expect.
var canFail = []string{
	"to_number", "json.unmarshal", "yaml.unmarshal", "base64.decode", "base64url.decode", "hex.decode", "urlquery.decode",
	"time.parse_ns", "time.parse_rfc3339_ns", "time.parse_duration_ns", "units.parse", "units.parse_bytes",
	"io.jwt.decode", "io.jwt.decode_verify", "semver.compare", "net.cidr_contains", "crypto.x509.parse_certificates",
}

// isText tells the places whose text a client writes freely.
func isText(p place) bool {
	switch p[0] {
	case "parsed_path", "parsed_query", "parsed_body":
		return true
	case "attributes":
		return len(p) > 3 && p[1] == "request" && p[2] == "http" && slices.Contains([]string{"headers", "path", "body", "host"}, p[3])
	}
	return false
}
