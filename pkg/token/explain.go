package token

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Step is one thing that the first door checked. Its texts quote what the token says, its
// signature aside: they are for whoever holds the token, and must not be logged.
type Step struct {
	Check Check
	Rule  string // "" while no rule is chosen
	Found string // what the request, the token, the rule and the issuer say about it
	Err   error  // why it failed; nil where it passed
}

// A Check is what a [Step] is about.
type Check string

// The checks, in the order in which a token passes them.
const (
	CheckPlace       Check = "place"     // something stands where a rule looks
	CheckForm        Check = "form"      // a JWS in compact form, of strict base64url and JSON
	CheckIssuer      Check = "issuer"    // a rule is for it
	CheckAlone       Check = "alone"     // no other token for the slot, and no other place with this one
	CheckRequired    Check = "required"  // a token is there that a rule requires
	CheckType        Check = "type"      // the rule takes its typ
	CheckAlgorithm   Check = "algorithm" // the rule takes its alg
	CheckSVID        Check = "svid"      // what SPIFFE asks of the header, where the rule is for a trust domain
	CheckKey         Check = "key"       // the issuer has it, and for this alg
	CheckSignature   Check = "signature" // is the key's
	CheckClaims      Check = "claims"    // are there and well-typed
	CheckKind        Check = "kind"      // an access token, not an ID token or an event
	CheckLifetime    Check = "lifetime"  // not longer than the rule allows
	CheckTime        Check = "time"
	CheckAudience    Check = "audience"
	CheckBinding     Check = "binding"     // cnf asks for no proof but a certificate
	CheckHeaders     Check = "headers"     // its claims can be written into the rule's headers
	CheckRevocation  Check = "revocation"  // no list revokes it
	CheckCertificate Check = "certificate" // the connection has the one it is bound to
)

// Explain does what [Verifier.Verify] does, by the same code, and tells every step on the way. Where
// a request is refused the last step is the one that failed. It is for tools: it costs more.
func (v *Verifier) Explain(ctx context.Context, req *authz.Request) (authz.Identity, []Step, error) {
	t := &trace{now: v.now(), leeway: v.leeway}
	id, err := v.walk(ctx, req, t)
	t.end(err)
	return id, t.steps, err
}

// AwaitKeys waits until the keys of a rule's issuer have been there once, or ctx ends; its error
// then says why they are not.
func (v *Verifier) AwaitKeys(ctx context.Context, name string) error {
	i := slices.IndexFunc(v.rules, func(r *rule) bool { return r.name == name })
	if i < 0 {
		return fmt.Errorf("token: no rule %q", name)
	}
	select {
	case <-v.rules[i].keys.filled:
		return nil
	case <-ctx.Done():
	}
	if err := v.rules[i].keys.state(); err != nil {
		return fmt.Errorf("token: no keys: %w", err)
	}
	return nil
}

// A trace notes the steps of [Verifier.Explain]. For Verify it is nil, and notes nothing.
type trace struct {
	now    time.Time
	leeway time.Duration
	steps  []Step
	at     sighting // what is known at the last step
}

// begin notes that the check before was passed, and that another begins, with what is known by now.
func (t *trace) begin(check Check, s *sighting) {
	if t == nil {
		return
	}
	if len(t.steps) > 0 {
		t.end(nil)
	}
	t.at = *s
	t.steps = append(t.steps, Step{Check: check})
}

// next is begin where nothing new is known.
func (t *trace) next(check Check) {
	if t != nil {
		t.begin(check, &t.at)
	}
}

// saw notes what the check that began last has found out.
func (t *trace) saw(s *sighting) {
	if t != nil {
		t.at = *s
	}
}

func (t *trace) end(err error) {
	if len(t.steps) == 0 {
		return
	}
	last := &t.steps[len(t.steps)-1]
	last.Err = err
	last.Found = t.found(last.Check)
	if t.at.rule != nil {
		last.Rule = t.at.rule.name
	}
}

// found is what is known about a check.
func (t *trace) found(check Check) string {
	switch s := t.at; check {
	case CheckPlace:
		return s.shownPlace()
	case CheckForm:
		return s.shownForm()
	case CheckIssuer:
		return s.shownIssuer()
	case CheckAlone:
		return "one token for a slot, one slot for a token"
	case CheckType:
		return fmt.Sprintf("typ is %s; the rule takes %s", quotedOr(s.token.typ, "absent"), list(s.rule.types))
	case CheckAlgorithm:
		return fmt.Sprintf("alg is %q; the rule takes %s", s.token.algorithm, listOr(s.rule.algorithms, "every asymmetric one"))
	case CheckKey:
		return s.shownKey()
	case CheckSignature:
		return fmt.Sprintf("%d bytes, against the key %s", len(s.token.signature), quotedOr(s.key.id, "without an id"))
	case CheckClaims:
		return "aud and exp, and the type of every registered claim"
	case CheckKind:
		return "an access token, and nothing else that the issuer signs"
	case CheckTime:
		return t.shownTimes()
	case CheckAudience:
		audience, _ := readAudience(s.token.claims["aud"]) // CheckClaims has passed it
		return fmt.Sprintf("aud is %s; the rule takes %s", list(audience), list(s.rule.audiences))
	case CheckHeaders:
		return s.shownHeaders()
	}
	return t.foundMore(check)
}

// foundMore is found for the checks that only some rules and tokens need.
func (t *trace) foundMore(check Check) string {
	switch s := t.at; check {
	case CheckRequired:
		return "the rule requires a token"
	case CheckSVID:
		return fmt.Sprintf("the header has %s; a JWT-SVID has alg, kid and at most typ", list(slices.Sorted(maps.Keys(s.token.header))))
	case CheckLifetime:
		return t.shownTimes() + fmt.Sprintf("; the rule allows %s", s.rule.maxLifetime)
	case CheckBinding:
		cnf, _ := s.token.claims["cnf"].(map[string]any)
		return fmt.Sprintf("cnf has %s; %s is checked", listOr(slices.Sorted(maps.Keys(cnf)), "nothing"), thumbprintMember)
	case CheckRevocation:
		return "the revocation lists, by jti, sid, client_id, azp and sub"
	case CheckCertificate:
		cnf, _ := s.token.claims["cnf"].(map[string]any)
		return fmt.Sprintf("cnf has the thumbprint %q", cnf[thumbprintMember])
	}
	return ""
}

func (s sighting) shownPlace() string {
	text := fmt.Sprintf("%s %q", s.place.kind, s.place.name)
	if s.place.prefix != "" {
		text += fmt.Sprintf(" after %q", s.place.prefix)
	}
	if s.text == "" {
		return text + ": nothing"
	}
	return fmt.Sprintf("%s: %d bytes", text, len(s.text))
}

func (s sighting) shownForm() string {
	if s.token == nil {
		return fmt.Sprintf("%d bytes", len(s.text))
	}
	return fmt.Sprintf("alg %q, kid %s, typ %s", s.token.algorithm, quotedOr(s.token.kid, "absent"), quotedOr(s.token.typ, "absent"))
}

func (s sighting) shownIssuer() string {
	issuers := make([]string, 0, len(s.place.rules))
	for _, r := range s.place.rules {
		issuers = append(issuers, r.issuer)
	}
	text := fmt.Sprintf("iss is %s; the rules for this place take %s", quotedOr(s.token.issuer, "absent"), list(issuers))
	if sub, ok := s.token.claims["sub"].(string); ok && slices.ContainsFunc(s.place.rules, func(r *rule) bool { return r.trustDomain != "" }) {
		text += fmt.Sprintf("; sub is %q", sub)
	}
	return text
}

func (s sighting) shownKey() string {
	text := "kid is " + quotedOr(s.token.kid, "absent")
	set := s.rule.keys.current.Load()
	if set == nil {
		return text + "; the issuer's keys are not there"
	}
	ids := make([]string, 0, len(set.byID))
	for id, k := range set.byID {
		if len(k.algorithms) > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	text += "; the issuer's keys are " + listOr(ids, "without ids")
	if s.key != nil {
		text += "; this one is for " + strings.Join(s.key.algorithms, ", ")
	}
	return text
}

func (t *trace) shownTimes() string {
	dates, _ := readClaims(t.at.token.claims) // CheckClaims has passed them
	texts := []string{fmt.Sprintf("now %s, leeway %s", t.now.UTC().Format(time.RFC3339), t.leeway)}
	for _, d := range []struct {
		name string
		date time.Time
	}{{"iat", dates.issued}, {"nbf", dates.notBefore}, {"exp", dates.expires}} {
		if !d.date.IsZero() {
			texts = append(texts, d.name+" "+d.date.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(texts, "; ")
}

func (s sighting) shownHeaders() string {
	texts := make([]string, 0, len(s.rule.outputs)+1)
	for _, o := range s.rule.outputs {
		texts = append(texts, o.Header+" from "+o.Claim)
	}
	if s.rule.payloadHeader != "" {
		texts = append(texts, s.rule.payloadHeader+" from the payload")
	}
	return strings.Join(texts, ", ")
}

func quotedOr(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return fmt.Sprintf("%q", text)
}

// list quotes texts; "" stands for absence.
func list(texts []string) string {
	quoted := make([]string, 0, len(texts))
	for _, text := range texts {
		quoted = append(quoted, quotedOr(text, "none"))
	}
	return strings.Join(quoted, ", ")
}

func listOr(texts []string, otherwise string) string {
	if len(texts) == 0 {
		return otherwise
	}
	return list(texts)
}
