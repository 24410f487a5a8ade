package token

import (
	"errors"
	"fmt"
)

// Blind says why no token at all can be verified now: no issuer's keys are there, or nobody knows what
// is revoked. It is nil where the tokens of one issuer can be, since an issuer that is down must not
// take the others' users with it, and where there is no rule.
func (v *Verifier) Blind() error {
	seeing := len(v.rings) == 0
	for _, ring := range v.rings {
		seeing = seeing || ring.state() == nil
	}
	if seeing && v.revoked.state() == nil {
		return nil
	}
	return v.Ready()
}

// Trouble is the error of Ready, and says besides which issuers cannot be asked for their keys now. Those
// that are there are still believed, for a time.
func (v *Verifier) Trouble() error {
	all := []error{v.Ready()}
	for _, ring := range v.rings {
		all = append(all, ring.unconfirmed())
	}
	return errors.Join(all...)
}

// unconfirmed says why the keys that are believed were not confirmed when they last should have been.
func (r *keyRing) unconfirmed() error {
	if r.state() != nil {
		return nil // which says more
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		return nil
	}
	return fmt.Errorf("token: issuer %q: its keys cannot be fetched, those that are there are believed for %s: %w", r.issuer, maxStale, r.failure)
}
