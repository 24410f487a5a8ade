// Package token is the first door: it says who asks, as far as tokens prove it.
//
// The journey of a token:
//
//  1. Every [Rule] reads certain places of the request: headers, cookies, query parameters
//     (place.go). Nothing there is no error; two tokens where one can be is.
//  2. The text is taken apart strictly (jws.go, json.go), so that no two readers can disagree
//     about it. Until its signature is checked nothing in it is believed.
//  3. The issuer that it names picks the rule (place.go), and the rule's issuer, the key
//     (keyring.go, keyset.go). Keys are fetched in the background (source.go, client.go): a check
//     waits for an issuer only where a key is new, and then not long.
//  4. The signature is checked over the bytes as they came, with an algorithm that the header
//     names, the key is made for and the rule allows (algorithm.go, jwk.go).
//  5. Only then are the claims judged (claims.go), written into headers for the upstream, and the
//     token itself is taken out of the request (upstream.go).
//
// Cheap checks come before dear ones. No error quotes a token.
package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Verifier verifies the tokens on requests. It implements [authz.Verifier].
type Verifier struct {
	rules    []*rule
	places   []*place
	rings    []*keyRing
	client   *client
	leeway   time.Duration
	maxBytes int
	now      func() time.Time

	stop context.CancelFunc
	wait sync.WaitGroup
}

// New checks a configuration and starts to fetch keys. The error names every mistake. New reads
// files and never waits for an issuer; ctx bounds the life of the Verifier.
func New(ctx context.Context, cfg Config) (*Verifier, error) {
	v := &Verifier{
		client:   newClient(cfg),
		leeway:   max(cmp.Or(cfg.Leeway, defaultLeeway), 0),
		maxBytes: cmp.Or(cfg.MaxTokenBytes, defaultMaxTokenBytes),
		now:      cfg.Now,
	}
	if v.now == nil {
		v.now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := v.configure(ctx, cfg); err != nil {
		return nil, fmt.Errorf("token: configure: %w", err)
	}
	ctx, v.stop = context.WithCancel(ctx)
	for _, ring := range v.rings {
		v.wait.Go(func() { ring.run(ctx) })
	}
	return v, nil
}

// configure checks everything and joins the mistakes.
func (v *Verifier) configure(ctx context.Context, cfg Config) error {
	var all []error
	top := mistakes{all: &all}
	if v.leeway > maxLeeway {
		top.add("leeway", "more than %s", maxLeeway)
	}
	if v.maxBytes < 0 || v.maxBytes > hardMaxTokenBytes {
		top.add("maxTokenBytes", "not between 1 and %d", hardMaxTokenBytes)
	}
	rings := make(map[ringKey]*keyRing)
	var each []mistakes
	for i, r := range cfg.Rules {
		m := mistakes{where: fmt.Sprintf("rules[%d] %q: ", i, r.Name), all: &all}
		before := len(all)
		checked := checkRule(r, m)
		if len(all) == before {
			checked.keys = v.ring(ctx, r, rings, cfg.Logger, m)
		}
		v.rules, each = append(v.rules, checked), append(each, m)
	}
	v.places = checkPlaces(v.rules, cfg.Rules, each)
	outputs := checkUnique(v.rules, each)
	v.checkOverlap(outputs, top)
	return errors.Join(all...)
}

// checkUnique refuses names and output headers that come twice, and gives the headers.
func checkUnique(rules []*rule, m []mistakes) (outputs map[string]bool) {
	names := make(map[string]bool)
	outputs = make(map[string]bool)
	for i, r := range rules {
		if names[r.name] {
			m[i].add("name", "another rule has it")
		}
		names[r.name] = true
		for field, header := range r.headers() {
			if outputs[header] {
				m[i].add(field, "%q is set twice", header)
			}
			outputs[header] = true
		}
	}
	return outputs
}

// checkOverlap refuses a header that both carries a token and is written: the one would undo the other.
func (v *Verifier) checkOverlap(outputs map[string]bool, m mistakes) {
	for _, p := range v.places {
		if p.kind == inHeader && outputs[p.name] {
			m.add("rules", "header %q carries a token and is set from a claim or payload", p.name)
		}
	}
}

// A ringKey tells key sources apart; rules with the same one share its keys.
type ringKey struct {
	issuer, jwks, file, uri string
	insecure                bool
	timeout                 time.Duration
}

// ring makes the key ring of a rule. What is at hand, inline or in a file, is read at once, so
// that a mistake in it shows at the start.
func (v *Verifier) ring(ctx context.Context, r Rule, rings map[ringKey]*keyRing, logger *slog.Logger, m mistakes) *keyRing {
	id := ringKey{r.Issuer, r.JWKS, r.JWKSFile, r.JWKSURI, r.AllowInsecureHTTP, r.Timeout}
	if ring, found := rings[id]; found {
		return ring
	}
	field, src := v.source(r)
	ring, err := newKeyRing(r.Issuer, src, logger, v.now)
	if err != nil {
		m.add("issuer", "%w", err)
		return nil
	}
	ring.timeout = cmp.Or(r.Timeout, attemptTimeout)
	if field != "" {
		if ring.refresh(ctx); ring.failure != nil {
			m.add(field, "%w", ring.failure)
		}
	}
	rings[id] = ring
	v.rings = append(v.rings, ring)
	return ring
}

// source is where a rule's keys are; field names the setting of a source that is at hand.
func (v *Verifier) source(r Rule) (field string, s source) {
	switch {
	case r.JWKS != "":
		return "jwks", inline{r.JWKS}
	case r.JWKSFile != "":
		return "jwksFile", file{r.JWKSFile}
	case r.JWKSURI != "":
		uri, _ := checkURL(r.JWKSURI, r.AllowInsecureHTTP) // checkKeySource did it before
		return "", &remote{uri: uri, client: v.client, now: v.now}
	}
	issuer, _ := checkURL(r.Issuer, r.AllowInsecureHTTP)
	return "", &remote{issuer: issuer, text: r.Issuer, client: v.client, now: v.now}
}

// Verify finds and verifies the tokens on a request; see [authz.Verifier].
func (v *Verifier) Verify(ctx context.Context, req *authz.Request) (authz.Identity, error) {
	return v.walk(ctx, req, nil)
}

func (v *Verifier) walk(ctx context.Context, req *authz.Request, t *trace) (authz.Identity, error) {
	id := authz.Identity{Tokens: make(map[string]authz.Token, len(v.rules))}
	for _, r := range v.rules {
		id.Tokens[r.name] = authz.Token{Status: authz.TokenMissing}
	}
	var sightings []sighting
	if req.HTTP != nil {
		var err error
		if sightings, err = v.look(req.HTTP, id, t); err != nil {
			return id, err
		}
		hide(req.HTTP, sightings, &id.Upstream)
	}
	for _, s := range sightings {
		if err := v.verify(ctx, s); err != nil {
			id.Tokens[s.rule.name] = authz.Token{Status: authz.TokenInvalid}
			return id, within(err, "rule %q", s.rule.name)
		}
		id.Tokens[s.rule.name] = authz.Token{
			Status: authz.TokenValid, Issuer: s.rule.issuer, Claims: s.rule.shownClaims(s.token.claims), Header: s.token.shownHeader(),
		}
	}
	for _, r := range v.rules {
		if len(r.outputs) > 0 || r.payloadHeader != "" {
			t.begin(CheckHeaders, sighting{rule: r})
		}
		if err := r.tell(verified(sightings, r), &id.Upstream); err != nil {
			id.Tokens[r.name] = authz.Token{Status: authz.TokenInvalid}
			return id, within(err, "rule %q", r.name)
		}
	}
	return id, nil
}

// look finds the tokens on a request and the rule for each. A token that cannot be given to one
// rule spoils the slots of all that read its place.
func (v *Verifier) look(http *authz.HTTP, id authz.Identity, t *trace) ([]sighting, error) {
	var sightings []sighting
	for _, p := range v.places {
		s, found, err := v.lookAt(p, http, t)
		if err == nil && found {
			t.next(CheckAlone)
			err = unlike(s, sightings)
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
			sightings = append(sightings, s)
		}
	}
	return sightings, nil
}

func (v *Verifier) lookAt(p *place, http *authz.HTTP, t *trace) (s sighting, found bool, err error) {
	s = sighting{place: p, trace: t}
	t.begin(CheckPlace, s)
	if s.text, found, err = p.find(http); err != nil || !found {
		return s, false, err
	}
	t.saw(s)
	t.begin(CheckForm, s)
	if s.token, err = parseJWS(s.text, v.maxBytes); err != nil {
		return s, false, err
	}
	t.saw(s)
	t.begin(CheckIssuer, s)
	if s.rule = p.ruleFor(s.token.issuer); s.rule == nil {
		return s, false, refusal(authz.TokenIssuerUnknown, "no rule here is for the token's issuer")
	}
	t.saw(s)
	return s, true, nil
}

// unlike refuses a second token for one slot, and one token in two slots: user and workload must
// each prove who they are.
func unlike(s sighting, others []sighting) error {
	for _, other := range others {
		if other.rule == s.rule {
			return multiple("a second token for rule %q", s.rule.name)
		}
		if other.text == s.text {
			return multiple("the token stands in another place too")
		}
	}
	return nil
}

// verify judges one token: what the rule allows, then the signature, then the claims. Where the
// signature is bad that is all that is said, whatever the claims are.
func (v *Verifier) verify(ctx context.Context, s sighting) error {
	s.trace.begin(CheckType, s)
	if !slices.Contains(s.rule.types, s.token.typ) {
		return unsupported("the rule does not take tokens of this typ")
	}
	s.trace.next(CheckAlgorithm)
	if len(s.rule.algorithms) > 0 && !slices.Contains(s.rule.algorithms, s.token.algorithm) {
		return unsupported("the rule does not allow this alg")
	}
	s.trace.next(CheckKey)
	k, err := s.rule.keys.key(ctx, s.token.kid)
	if err != nil {
		return err
	}
	s.key = k
	s.trace.saw(s)
	if !slices.Contains(k.algorithms, s.token.algorithm) {
		return refusal(authz.TokenKeyUnknown, "the issuer's key of that id is not for this alg")
	}
	s.trace.next(CheckSignature)
	if !algorithms[s.token.algorithm].verify(k.public, s.token.signed, s.token.signature) {
		return refusal(authz.TokenSignature, "the signature is not the key's")
	}
	return s.rule.checkClaims(s, v.now(), v.leeway)
}

// within adds the place of a failure to its text.
func within(err error, format string, args ...any) error {
	return &authz.Error{
		Reason: authz.ReasonOf(err),
		Err:    fmt.Errorf("token: %s: %w", fmt.Sprintf(format, args...), err),
	}
}

// Ready is nil while tokens of every issuer can be verified; its error names each issuer whose
// keys are missing or too old.
func (v *Verifier) Ready() error {
	var all []error
	for _, ring := range v.rings {
		all = append(all, ring.state())
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("token: not ready: %w", err)
	}
	return nil
}

// AwaitReady waits until the keys of every issuer have been there once, or ctx ends.
func (v *Verifier) AwaitReady(ctx context.Context) error {
	for _, ring := range v.rings {
		select {
		case <-ring.filled:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), v.Ready())
		}
	}
	return nil
}

// Close stops fetching keys and waits until nothing runs any more.
func (v *Verifier) Close() error {
	v.stop()
	v.wait.Wait()
	v.client.close()
	return nil
}
