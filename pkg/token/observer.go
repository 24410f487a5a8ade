package token

import "context"

// An Observer is told how tokens fare on the way of a check, for those who trace it. A nil function
// is told nothing; they are called concurrently and must not block.
type Observer struct {
	// Judge is called when a token was found that is for a rule. What is done for the token from
	// there gets the context that it returns, and done is called at the end.
	Judge func(ctx context.Context, rule string) (_ context.Context, done func(Judgement))

	// Waited is called when a token named a key that was not there, and the check waited for a
	// fetch of the issuer's keys; err is why that failed.
	Waited func(ctx context.Context, issuer string, err error)
}

// A Judgement is what came out for a token.
type Judgement struct {
	Cached bool  // the verdict of an earlier check still held
	Err    error // an [*authz.Error]; nil where the token is good
}

// observed is admit for those who watch.
func (v *Verifier) observed(ctx context.Context, s *sighting, certificate string) error {
	if v.observer.Judge == nil {
		return v.admit(ctx, s, certificate)
	}
	watched, done := v.observer.Judge(ctx, s.rule.name)
	err := v.admit(watched, s, certificate)
	done(Judgement{Cached: s.cached, Err: err})
	return err
}

// tell says that a check has waited for a fetch, and how that ended.
func (r *keyRing) tell(ctx context.Context) {
	if r.waited == nil {
		return
	}
	r.mu.Lock()
	err := r.failure
	r.mu.Unlock()
	r.waited(ctx, r.issuer, err)
}
