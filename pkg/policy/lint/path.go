package lint

import (
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

func (s *scope) isRawPath(t *ast.Term) bool { return s.is(t, http+".path", http+`.headers[":path"]`) }

// lookRawPath finds a denial by the path as the client spells it.
func (w *walker) lookRawPath(e *ast.Expr, terms []*ast.Term, u use) {
	if !isComparison(terms) {
		return
	}
	if slices.ContainsFunc(terms[1:], u.isRawPath) {
		w.findings.add(rawPath, e.Location, "the path is compared as the client spells it: with a query, or as in /%61dmin, it is not denied and still reaches the same place")
	}
}

// lookPrefix finds patterns of the path that cover more than they seem to.
func (w *walker) lookPrefix(e *ast.Expr, terms []*ast.Term, u use) {
	if !isComparison(terms) || len(terms) < 3 {
		return
	}
	why := ""
	switch {
	case isCall(terms, ast.StartsWith) && u.isRawPath(terms[1]):
		why = looseStart(terms[2])
	case isCall(terms, ast.EndsWith) && u.isRawPath(terms[1]):
		why = "the raw path ends with its query, which is the client's: /admin?x=.css ends like that too"
	case isCall(terms, ast.Contains) && u.isRawPath(terms[1]):
		why = "the raw path has that anywhere, also in its query, which is the client's"
	case isCall(terms, ast.RegexMatch) && u.isRawPath(terms[2]):
		why = loosePattern(terms[1])
	case isCall(terms, ast.GlobMatch) && len(terms) == 4 && u.isRawPath(terms[3]):
		why = looseGlob(terms[1], terms[2])
	}
	if why != "" {
		w.findings.add(pathPrefix, e.Location, why)
	}
}

func looseStart(prefix *ast.Term) string {
	text, ok := prefix.Value.(ast.String)
	if !ok || strings.HasSuffix(string(text), "/") || strings.HasSuffix(string(text), "?") {
		return ""
	}
	return "the prefix does not end with a segment: " + string(text) + " is also the beginning of " + string(text) + "-other"
}

// loosePattern looks at both ends of a regular expression.
func loosePattern(pattern *ast.Term) string {
	text, ok := pattern.Value.(ast.String)
	if !ok {
		return ""
	}
	parsed, err := syntax.Parse(string(text), syntax.Perl)
	if err != nil {
		return ""
	}
	if first(parsed).Op != syntax.OpBeginText {
		return "the pattern does not begin with ^: it is found anywhere in the raw path, also in its query, which is the client's"
	}
	switch end := last(parsed); {
	case end.Op == syntax.OpEndText, end.Op == syntax.OpStar && end.Sub[0].Op == syntax.OpAnyCharNotNL, end.Op == syntax.OpPlus && end.Sub[0].Op == syntax.OpAnyCharNotNL:
	case end.Op == syntax.OpLiteral && end.Rune[len(end.Rune)-1] == '/':
	default:
		return "the pattern does not end with $ or a slash: whatever follows is covered too"
	}
	return ""
}

func first(r *syntax.Regexp) *syntax.Regexp {
	for (r.Op == syntax.OpConcat || r.Op == syntax.OpCapture) && len(r.Sub) > 0 {
		r = r.Sub[0]
	}
	return r
}

func last(r *syntax.Regexp) *syntax.Regexp {
	for (r.Op == syntax.OpConcat || r.Op == syntax.OpCapture) && len(r.Sub) > 0 {
		r = r.Sub[len(r.Sub)-1]
	}
	return r
}

// looseGlob finds a * that reaches over slashes.
func looseGlob(pattern, delimiters *ast.Term) string {
	text, ok := pattern.Value.(ast.String)
	plain := strings.ReplaceAll(string(text), "**", "")
	if !ok || !strings.Contains(plain, "*") {
		return ""
	}
	list, ok := delimiters.Value.(*ast.Array)
	if ok {
		slash := false
		list.Foreach(func(t *ast.Term) { slash = slash || t.Value.Compare(ast.String("/")) == 0 })
		if slash {
			return ""
		}
	}
	return "without \"/\" among the delimiters, * covers slashes: whole trees where one segment is meant"
}
