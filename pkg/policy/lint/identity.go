package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// An identityNames tells names that say who somebody is.
type identityNames struct{ header, field *regexp.Regexp }

func newIdentityNames() identityNames {
	return identityNames{
		header: regexp.MustCompile(`^(x-)?(forwarded|real|client|remote|cluster-client|true-client|cf-connecting|original-forwarded)-?(for|user|email|groups?|ip|addr|preferred-username|client-cert|cert)?$` +
			`|(^|-)(user(name|id|info)?|roles?|groups?|e?mail|tenant|account|admin|principal|subject|identity|scopes?|permissions?|authenticated|internal|client-cert|client-ip|connecting-ip|real-ip|remote-addr|consumer)(-|$)` +
			`|^(forwarded|from|via)$`),
		field: regexp.MustCompile(`^(is_?)?(user(_?name|_?id)?|roles?|groups?|e?mail|tenant(_?id)?|admin|principal|sub(ject)?|identity|scopes?|permissions?|account(_?id)?|owner)$`),
	}
}

// lookIdentity finds an expression that asks who the client says it is. What is compared with a verified
// identity is checked by that.
func (w *walker) lookIdentity(e *ast.Expr, terms []*ast.Term, u use) {
	if op, ok := refOf(terms[0]); ok && len(terms) > 1 && op.HasPrefix(ast.DefaultRootRef) {
		return // the function itself is looked at, with its operands
	}
	var claimed place
	verified := false
	for _, t := range terms {
		u.mentionedPlaces(t, func(p place) {
			verified = verified || isVerified(p)
			if w.tokens.names.claimsIdentity(p) && claimed == nil {
				claimed = p
			}
		})
	}
	switch {
	case verified:
	case claimed != nil:
		w.findings.add(clientIdentity, e.Location, claimed.saysWho())
	case !u.facts.identifies() && isComparison(terms) && slices.ContainsFunc(terms, func(t *ast.Term) bool { return u.is(t, http+".host", http+`.headers[":authority"]`) }):
		w.findings.add(clientIdentity, e.Location, "the host is the client's word, and nothing else here says who calls")
	}
	w.lookBasic(e, terms, u)
}

// mentionedPlaces calls f with the places that flow into a term, but for those in closures.
func (s *scope) mentionedPlaces(t *ast.Term, f func(place)) {
	strict(t, func(sub *ast.Term) {
		s.mentions(sub, func(ref ast.Ref) {
			if p := placeOf(ref, s); len(p) > 0 {
				f(p)
			}
		})
	})
}

// claimsIdentity tells the places where a client says who it is.
func (n identityNames) claimsIdentity(p place) bool {
	last := strings.ToLower(p[len(p)-1])
	switch {
	case len(p) == 5 && strings.HasPrefix(p.String(), http+".headers"):
		return n.header.MatchString(last)
	case p[0] == "parsed_query" && len(p) >= 2:
		return n.field.MatchString(strings.ToLower(p[1]))
	case p[0] == "parsed_body" && len(p) >= 2:
		return n.field.MatchString(last)
	}
	return false
}

func (p place) saysWho() string {
	switch {
	case p[len(p)-1] == "x-forwarded-client-cert":
		return p.String() + " is the client's word unless Envoy replaces it (forward_client_cert_details: SANITIZE_SET)"
	case p[len(p)-1] == "x-forwarded-for" || p[len(p)-1] == "x-real-ip":
		return p.String() + " is the client's word, but for what the nearest proxy adds to it"
	}
	return p.String() + " says who calls, and every client can write it"
}

// lookBasic finds a name that is taken from Basic credentials whose password nobody looks at.
func (w *walker) lookBasic(e *ast.Expr, terms []*ast.Term, u use) {
	for _, t := range terms {
		strict(t, func(sub *ast.Term) {
			if rule := u.basicName(sub); rule != nil {
				w.findings.add(clientIdentity, e.Location, "the user's name comes from Basic credentials whose password is not looked at: every client can write it")
			}
		})
	}
}

// basicName is the rule, or the term, that splits decoded credentials and drops the password.
func (s *scope) basicName(t *ast.Term) *ast.Term {
	for _, c := range s.values(t) {
		v, ok := c.term.Value.(ast.Var)
		if !ok || !c.scope.binds[v].part {
			continue
		}
		pair := c.scope.binds[v].term
		if !isDecodedCredentials(pair, c.scope) || c.scope.usesPassword(pair) {
			continue
		}
		return pair
	}
	return nil
}

// isDecodedCredentials tells split(base64.decode(…authorization…), ":"), also in several steps.
func isDecodedCredentials(t *ast.Term, s *scope) bool {
	found := false
	s.mentions(t, func(ref ast.Ref) { found = found || strings.Contains(ref.String(), "authorization") })
	return found && s.decodes(t, maxDepth)
}

// decodes tells whether base64 is read on the way to a value.
func (s *scope) decodes(t *ast.Term, depth int) (found bool) {
	if depth == 0 {
		return false
	}
	ast.WalkTerms(t, func(sub *ast.Term) bool {
		found = found || strings.HasPrefix(sub.Value.String(), "base64")
		if v, ok := sub.Value.(ast.Var); ok && !found {
			if b, ok := s.binds[v]; ok {
				found = s.decodes(b.term, depth-1)
			}
		}
		return found
	})
	return found
}

// usesPassword tells whether two parts of the pair are used: the name, and what follows it.
func (s *scope) usesPassword(pair *ast.Term) bool {
	parts := 0
	for v, b := range s.binds {
		if b.part && b.term == pair && s.used[v] > 1 {
			parts++
		}
	}
	return parts > 1
}
