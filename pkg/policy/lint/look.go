package lint

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// look asks of one expression what a client can choose in it.
func (w *walker) look(e *ast.Expr, terms []*ast.Term, u use) {
	if isAssignment(terms) {
		w.lookUp(e, terms, u)
		return // what is assigned is looked at where it is used
	}
	if u.sign == toAllow {
		w.lookIdentity(e, terms, u)
		w.lookSecret(e, terms, u)
		w.lookPrefix(e, terms, u)
	} else {
		w.lookRawPath(e, terms, u)
		w.lookHost(e, terms, u)
	}
	w.lookMethod(e, terms, u)
	w.lookOrder(e, terms, u)
}

// lookUp looks at what data is looked up by.
func (w *walker) lookUp(e *ast.Expr, terms []*ast.Term, u use) {
	for _, t := range terms[1:] {
		if ref, ok := refOf(t); ok && u.sign == toAllow && ref.HasPrefix(ast.DefaultRootRef) {
			w.lookIdentity(e, ref[1:], u)
		}
	}
}

// places are the places under input that a term is.
func (s *scope) places(t *ast.Term) []place {
	var out []place
	for _, c := range s.inputs(t) {
		if ref, ok := refOf(c.term); ok && len(ref) > 1 { // not the input as a whole
			out = append(out, placeOf(ref, c.scope))
		}
	}
	return out
}

// is tells whether a term is one of some places.
func (s *scope) is(t *ast.Term, wanted ...string) bool {
	return slices.ContainsFunc(s.places(t), func(p place) bool { return slices.Contains(wanted, p.String()) })
}

const http = "input.attributes.request.http"

// lookMethod finds "any method but".
func (w *walker) lookMethod(e *ast.Expr, terms []*ast.Term, u use) {
	if len(terms) != 3 {
		return
	}
	isMethod := func(t *ast.Term) bool { return u.is(t, http+".method", http+`.headers[":method"]`) }
	positive := u.sign == toAllow && isCall(terms, ast.NotEqual)
	negated := u.behind && (isCall(terms, ast.Equal) || isCall(terms, ast.Member))
	if positive && (isMethod(terms[1]) || isMethod(terms[2])) || negated && (isMethod(terms[1]) || isMethod(terms[2])) {
		w.findings.add(methodNegation, e.Location, "every method but the ones named is allowed, and there are more methods than one thinks of (RFC 9110, section 9.1)")
	}
}

// lookHost finds a denial by the host as it is spelled.
func (w *walker) lookHost(e *ast.Expr, terms []*ast.Term, u use) {
	if !isComparison(terms) {
		return
	}
	for _, t := range terms[1:] {
		if u.is(t, http+".host", http+`.headers[":authority"]`) {
			w.findings.add(hostSpelling, e.Location, "the host is compared as the client spells it; in capitals or with a port it is the same host (RFC 9110, section 4.2.3), and is not denied")
		}
	}
}

// isComparison tells the calls that compare texts.
func isComparison(terms []*ast.Term) bool {
	return slices.ContainsFunc([]*ast.Builtin{
		ast.Equal, ast.Equality, ast.NotEqual, ast.Member, ast.StartsWith, ast.EndsWith, ast.Contains,
		ast.RegexMatch, ast.GlobMatch, ast.AnyPrefixMatch, ast.AnySuffixMatch,
	}, func(b *ast.Builtin) bool { return isCall(terms, b) })
}

// lookOrder finds an order between values of types that the client chooses. Rego orders all values:
// null, booleans, numbers, texts, lists, in that order.
func (w *walker) lookOrder(e *ast.Expr, terms []*ast.Term, u use) {
	orders := []*ast.Builtin{ast.LessThan, ast.LessThanEq, ast.GreaterThan, ast.GreaterThanEq}
	if len(terms) != 3 || !slices.ContainsFunc(orders, func(b *ast.Builtin) bool { return isCall(terms, b) }) {
		return
	}
	for i, t := range terms[1:] {
		for _, p := range u.places(t) {
			_, text := terms[2-i].Value.(ast.String)
			if !isText(p) || u.facts[typed(p)] || text && p[0] != "parsed_body" {
				continue
			}
			w.findings.add(untypedCompare, e.Location, p.String()+" may be of another type than is compared with, and Rego orders values of all types: null is less than 1, and every text is more")
		}
	}
}

// typed is the fact that the type of a place was asked.
func typed(p place) string { return p.key() + "type" }

// ofType adds the places whose type an expression asks.
func (s *scope) ofType(terms []*ast.Term, out facts) {
	if len(terms) != 2 {
		return
	}
	asks := []*ast.Builtin{ast.IsNumber, ast.IsString, ast.IsBoolean}
	if slices.ContainsFunc(asks, func(b *ast.Builtin) bool { return isCall(terms, b) }) {
		for _, p := range s.places(terms[1]) {
			out[typed(p)] = true
		}
	}
}

// every walks "every": its body must hold for all there are, and nobody says that there are any.
func (w *walker) every(e *ast.Expr, every *ast.Every, u use) {
	inner := u
	inner.scope = u.inside(every)
	w.members(every.Domain, -u.sign, u)
	w.body(every.Body, inner)
	if u.sign != toAllow {
		return
	}
	for _, p := range u.places(every.Domain) {
		if p[0] != "parsed_path" && len(p) > 1 && !u.facts[filled(p)] {
			w.findings.add(emptyEvery, e.Location, p.String()+" may be empty, and \"every\" then holds for all of nothing")
		}
	}
}

// inside is the scope of the body of "every", in which its variables are members of what it is about.
func (s *scope) inside(every *ast.Every) *scope {
	inner := &scope{program: s.program, shape: shape{binds: maps.Clone(s.binds), used: s.used}, params: s.params}
	if v, ok := every.Value.Value.(ast.Var); ok {
		base, isRef := refOf(every.Domain)
		if _, isVar := every.Domain.Value.(ast.Var); isVar {
			base, isRef = ast.Ref{every.Domain}, true
		}
		if isRef {
			inner.binds[v] = bound{term: ast.NewTerm(base.Append(ast.VarTerm("*")))}
		} else {
			inner.binds[v] = bound{term: every.Domain, part: true}
		}
	}
	return inner
}

// filled is the fact that a list has an item.
func filled(p place) string { return p.key() + "filled" }

// ofCount adds the lists that have an item where an expression holds.
func (s *scope) ofCount(terms []*ast.Term, out facts) {
	if set, empty, ok := asEmptiness(terms, s); ok && !empty {
		for _, p := range s.places(set) {
			out[filled(p)] = true
		}
	}
	for _, t := range terms {
		strict(t, func(sub *ast.Term) {
			for _, p := range s.places(sub) {
				for n := 1; n < len(p); n++ {
					out[filled(p[:n])] = true
				}
			}
		})
	}
}
