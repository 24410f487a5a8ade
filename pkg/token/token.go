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
	observer Observer

	cache        *cache // nil: none
	certificates certificates
	revoked      *revoker

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
		observer: cfg.Observer,
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
	v.wait.Go(func() { v.revoked.run(ctx) })
	return v, nil
}

// usualTokens is more tokens than most requests carry; room for them is made on the stack.
const usualTokens = 4

// Verify finds and verifies the tokens on a request; see [authz.Verifier].
func (v *Verifier) Verify(ctx context.Context, req *authz.Request) (authz.Identity, error) {
	return v.walk(ctx, req, nil)
}

// walk is the journey of the tokens on a request. It notes its steps in t where that is not nil.
func (v *Verifier) walk(ctx context.Context, req *authz.Request, t *trace) (authz.Identity, error) {
	id := authz.Identity{Tokens: make(map[string]authz.Token, len(v.rules))}
	for _, r := range v.rules {
		id.Tokens[r.name] = authz.Token{Status: authz.TokenMissing}
	}
	var room [usualTokens]sighting
	seen := room[:0]
	if req.HTTP != nil {
		var err error
		if seen, err = v.look(req.HTTP, id, seen, t); err != nil {
			return id, err
		}
		hide(req.HTTP, seen, &id.Upstream)
	}
	if err := v.demand(seen, t); err != nil {
		return id, err
	}
	for i := range seen {
		s := &seen[i]
		if err := v.observed(ctx, s, req.Source.Certificate); err != nil {
			id.Tokens[s.rule.name] = authz.Token{Status: authz.TokenInvalid}
			return id, within(err, "rule %q", s.rule.name)
		}
		id.Tokens[s.rule.name] = s.verdict.slot()
	}
	for _, r := range v.rules {
		tells := &r.silence
		if s := of(r, seen); s != nil {
			tells = &s.verdict.tells
		}
		id.Upstream.SetHeaders = append(id.Upstream.SetHeaders, tells.SetHeaders...)
		id.Upstream.RemoveHeaders = append(id.Upstream.RemoveHeaders, tells.RemoveHeaders...)
	}
	return id, nil
}

// admit judges one token. What a verdict from the cache cannot know is checked every time: the
// clock, the revocation lists, the connection. Only a token that passes all of it is kept.
func (v *Verifier) admit(ctx context.Context, s *sighting, certificate string) (err error) {
	now := v.now()
	if s.cached {
		err = s.verdict.dates.check(now, v.leeway)
	} else {
		s.verdict, err = v.verify(ctx, s, now)
	}
	if err != nil {
		return err
	}
	if len(v.revoked.feeds) > 0 {
		s.trace.begin(CheckRevocation, s)
		if err := v.revoked.check(s.rule.issuer, s.verdict.marks, now); err != nil {
			return err
		}
	}
	if s.verdict.binding.bound {
		s.trace.begin(CheckCertificate, s)
		if err := v.certificates.check(s.verdict.binding, certificate); err != nil {
			return err
		}
	}
	if !s.cached && s.trace == nil {
		v.cache.put(s.id, s.verdict)
	}
	return nil
}

// verify judges a token that is not in the cache: what the rule allows, then the signature, then
// the claims. Where the signature is bad that is all that is said, whatever the claims are.
func (v *Verifier) verify(ctx context.Context, s *sighting, now time.Time) (*verdict, error) {
	if err := s.rule.checkHeader(s); err != nil {
		return nil, err
	}
	s.trace.next(CheckKey)
	k, err := s.rule.keys.key(ctx, s.token.kid)
	if err != nil {
		return nil, err
	}
	s.key = k
	s.trace.saw(s)
	if !slices.Contains(k.algorithms, s.token.algorithm) {
		return nil, refusal(authz.TokenKeyUnknown, "the issuer's key of that id is not for this alg")
	}
	s.trace.next(CheckSignature)
	if !algorithms[s.token.algorithm].verify(k.public, s.token.signed, s.token.signature) {
		return nil, refusal(authz.TokenSignature, "the signature is not the key's")
	}
	dates, err := s.rule.checkClaims(s, now, v.leeway)
	if err != nil {
		return nil, err
	}
	return newVerdict(s, dates)
}

// within adds the place of a failure to its text.
func within(err error, format string, args ...any) error {
	return &authz.Error{
		Reason: authz.ReasonOf(err),
		Err:    fmt.Errorf("token: %s: %w", fmt.Sprintf(format, args...), err),
	}
}

// Ready is nil while tokens of every issuer can be verified; its error names each issuer whose
// keys are missing or too old, and revocation lists that are.
func (v *Verifier) Ready() error {
	all := []error{v.revoked.state()}
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
