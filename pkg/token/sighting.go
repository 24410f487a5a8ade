package token

import (
	"github.com/sallyport/sallyport/pkg/authz"
)

// A sighting is a token where it was found, and the rule it is for.
type sighting struct {
	text    string
	place   *place
	id      cacheKey
	rule    *rule
	token   *jws     // taken apart; nil where verdict is set
	key     *key     // nil until it is found
	verdict *verdict // of a full verification
	cached  bool     // the verdict is of an earlier check
	trace   *trace   // nil where nobody asks for the steps
}

// look finds the tokens on a request and the rule for each, and adds them to seen. A token that
// cannot be given to one rule spoils the slots of all that read its place.
func (v *Verifier) look(http *authz.HTTP, id authz.Identity, seen []sighting, t *trace) ([]sighting, error) {
	for _, p := range v.places {
		s, found, err := v.lookAt(p, http, t)
		if err == nil && found {
			t.next(CheckAlone)
			err = unlike(&s, seen)
		}
		if err != nil {
			for _, r := range p.rules {
				if s.rule == nil || s.rule == r {
					id.Tokens[r.name] = authz.Token{Status: authz.TokenInvalid}
				}
			}
			return nil, within(err, "%s %q", p.kind, p.name)
		}
		if found {
			seen = append(seen, s)
		}
	}
	return seen, nil
}

// lookAt reads one place. The cache is asked before anything is decoded, and after what costs
// less than asking it. Who asks for the steps gets them all: then it is not asked.
func (v *Verifier) lookAt(p *place, http *authz.HTTP, t *trace) (s sighting, found bool, err error) {
	s.place, s.trace = p, t
	t.begin(CheckPlace, &s)
	if s.text, found, err = p.find(http); err != nil || !found {
		return s, false, err
	}
	t.saw(&s)
	t.begin(CheckForm, &s)
	pieces, err := split(s.text, v.maxBytes)
	if err != nil {
		return s, false, err
	}
	if t == nil && v.remember(&s) {
		return s, true, nil
	}
	if s.token, err = pieces.parse(); err != nil {
		return s, false, err
	}
	t.saw(&s)
	t.begin(CheckIssuer, &s)
	if s.rule = p.ruleFor(s.token); s.rule == nil {
		return s, false, refusal(authz.TokenIssuerUnknown, "no rule here is for the token's issuer")
	}
	t.saw(&s)
	return s, true, nil
}

// remember takes the verdict on a token from the cache, as long as its key stands.
func (v *Verifier) remember(s *sighting) bool {
	s.id = v.cache.key(s.place.number, s.text)
	kept := v.cache.get(s.id)
	if kept == nil {
		return false
	}
	if !kept.keyStands() {
		v.cache.drop(s.id)
		return false
	}
	s.verdict, s.rule, s.cached = kept, kept.rule, true
	return true
}

// unlike refuses a second token for one slot, and one token in two slots: user and workload must
// each prove who they are.
func unlike(s *sighting, others []sighting) error {
	for i := range others {
		if others[i].rule == s.rule {
			return multiple("a second token for rule %q", s.rule.name)
		}
		if others[i].text == s.text {
			return multiple("the token stands in another place too")
		}
	}
	return nil
}

// demand refuses a request without a token that a rule requires.
func (v *Verifier) demand(seen []sighting, t *trace) error {
	for _, r := range v.rules {
		if !r.required {
			continue
		}
		t.begin(CheckRequired, &sighting{rule: r})
		if of(r, seen) == nil {
			return refusal(authz.TokenRequired, "token: rule %q requires a token, and there is none", r.name)
		}
	}
	return nil
}

// of is the sighting for a rule, or nil.
func of(r *rule, seen []sighting) *sighting {
	for i := range seen {
		if seen[i].rule == r {
			return &seen[i]
		}
	}
	return nil
}
