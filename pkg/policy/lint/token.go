package lint

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// tokens are the tokens that a policy reads itself.
type tokens struct {
	names    identityNames
	decoded  map[*ast.Location]string // by io.jwt.decode: the text of the token
	verified map[string]bool
	chosen   map[*ast.Location]string // what the client chooses of a verification
}

func newTokens() *tokens {
	return &tokens{
		names: newIdentityNames(), decoded: map[*ast.Location]string{}, verified: map[string]bool{}, chosen: map[*ast.Location]string{},
	}
}

// note keeps a call of io.jwt.
func (n *tokens) note(terms []*ast.Term, u use) {
	name := terms[0].Value.String()
	if len(terms) < 2 || !strings.HasPrefix(name, "io.jwt.") {
		return
	}
	text := u.text(terms[1])
	switch {
	case name == "io.jwt.decode":
		n.decoded[terms[0].Location] = text
		return
	case name == "io.jwt.decode_verify" && len(terms) > 2:
		n.noteConstraints(terms, u)
	}
	n.verified[text] = true
}

// text names the value of a term, whatever variable holds it.
func (s *scope) text(t *ast.Term) string {
	var texts []string
	for _, c := range s.values(t) {
		texts = append(texts, c.term.String())
	}
	return strings.Join(texts, " ")
}

// noteConstraints looks whether the algorithm or the key of a verification comes from the request.
func (n *tokens) noteConstraints(terms []*ast.Term, u use) {
	for _, c := range u.values(terms[2]) {
		o, ok := c.term.Value.(ast.Object)
		if !ok {
			continue
		}
		for _, key := range []string{"alg", "cert", "secret"} {
			if value := o.Get(ast.StringTerm(key)); value != nil && c.scope.isOfInput(value) {
				n.chosen[terms[0].Location] = key
			}
		}
	}
}

// report reports tokens that were believed without a look at their signature.
func (n *tokens) report(f *findings) {
	for at, text := range n.decoded {
		if !n.verified[text] {
			f.add(unverifiedToken, at, "io.jwt.decode does not look at the signature, and nothing else verifies this token: every client can write one")
		}
	}
	for at, key := range n.chosen {
		f.add(tokenAlgorithm, at, "the "+key+" that verifies the token comes from the request: who forges the token chooses it")
	}
}

// lookSecret finds a credential in the policy's text.
func (w *walker) lookSecret(e *ast.Expr, terms []*ast.Term, u use) {
	if len(terms) != 3 || !isCall(terms, ast.Equal) && !isCall(terms, ast.Member) {
		return
	}
	for i, t := range terms[1:] {
		for _, p := range u.places(t) {
			if isCredential(p) && ast.IsConstant(terms[2-i].Value) && !isEmptyText(terms[2-i]) {
				w.findings.add(rawTokenCompare, e.Location, p.String()+" is compared with a secret that stands in the policy: whoever reads the policy is let in")
			}
		}
	}
}

func isCredential(p place) bool {
	if len(p) != 5 || p[3] != "headers" {
		return false
	}
	switch p[4] {
	case "authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "apikey", "x-auth-token", "x-access-token":
		return true
	}
	return false
}

func isEmptyText(t *ast.Term) bool { return t.Value.Compare(ast.String("")) == 0 }
