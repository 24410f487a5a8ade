package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Revocation says where lists of revoked tokens are. A token is refused if any of them revokes
// it, whether it was verified before or not, at most a second after the list changed.
//
// A list is an object with two members: "revoked", an array of entries, and "updated", the time at
// which whoever writes it last knew it to be complete, as text by RFC 3339 or in seconds since 1970.
// Every entry is for the tokens of one issuer (for a JWT-SVID, the ID of its trust domain, such as
// spiffe://example.org) and names one more thing:
//
//	updated: 2026-11-24T09:00:00Z
//	revoked:
//	  - {issuer: https://login.example.com, jti: 6f1c9a}             # this token
//	  - {issuer: https://login.example.com, sid: 08a5019c}           # the tokens of this session
//	  - {issuer: https://login.example.com, client_id: old-app}      # the tokens of this client, by client_id or azp
//	  - {issuer: https://login.example.com, sub: alice, before: 2026-11-24T08:00:00Z}
//	                                     # the tokens of this subject from before this time, by iat, and those without iat
//
// An unknown member, a missing one or one of a wrong type makes the whole list bad. A bad list at
// the start is a mistake; later it is logged, and the one before stays.
type Revocation struct {
	// File is a list in YAML or JSON. It is watched.
	File string

	// Data reads a list from elsewhere, such as the policy's data. It is called twice a second,
	// with the version that it returned last (nil at first): where that is still the version, it
	// returns it and need not return a list. Texts and numbers are those of encoding/json. Where
	// there is no list yet, such as before the first bundle, it returns [ErrNoListYet]: that is no
	// mistake, and until there is one every token is refused.
	Data func(last any) (list, version any, err error)

	// MaxAge is how old a list may be, by its "updated", which must then be there. With an older
	// one, nobody knows what was revoked since, so every token is refused. 0 means any age.
	MaxAge time.Duration
}

// ErrNoListYet is returned by [Revocation.Data] while the list is still to come.
var ErrNoListYet = errors.New("no list yet")

// revocationInterval keeps the promise of one second with some room.
const revocationInterval = 500 * time.Millisecond

// A revoker keeps the lists of a Revocation. Checks read immutable lists without a lock; one
// goroutine, run, replaces them.
type revoker struct {
	feeds  []*feed
	maxAge time.Duration
	logger *slog.Logger
	now    func() time.Time
}

// A feed is one list and where it comes from.
type feed struct {
	name    string
	read    func(last any) (list, version any, err error)
	current atomic.Pointer[revocations]

	// Of run alone.
	version any
	failure string // that was logged last
}

// newRevoker reads the lists once, so that a mistake in them shows at the start.
func newRevoker(cfg Config, now func() time.Time, m mistakes) *revoker {
	r := &revoker{maxAge: cfg.Revocation.MaxAge, logger: cfg.Logger, now: now}
	if r.maxAge < 0 {
		m.add("revocation.maxAge", "is negative")
	}
	if name := cfg.Revocation.File; name != "" {
		r.feeds = append(r.feeds, &feed{name: "file", read: revocationFile(name)})
	}
	if read := cfg.Revocation.Data; read != nil {
		r.feeds = append(r.feeds, &feed{name: "data", read: read})
	}
	for _, f := range r.feeds {
		if _, err := r.refresh(f); err != nil && !errors.Is(err, ErrNoListYet) {
			m.add("revocation."+f.name, "%w", err)
		}
	}
	return r
}

// run looks for new lists until ctx ends.
func (r *revoker) run(ctx context.Context) {
	if len(r.feeds) == 0 {
		return
	}
	ticker := time.NewTicker(revocationInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for _, f := range r.feeds {
			r.poll(f)
		}
	}
}

// poll reads a feed and logs what is new about it.
func (r *revoker) poll(f *feed) {
	changed, err := r.refresh(f)
	switch {
	case errors.Is(err, ErrNoListYet): // Ready says it
	case err != nil && err.Error() != f.failure:
		f.failure = err.Error()
		r.logger.Error("token: revocation list not read; the one before stays", "from", f.name, "err", err)
	case err == nil && changed:
		r.logger.Info("token: revocation list changed", "from", f.name, "entries", f.current.Load().size)
	}
	if err == nil {
		f.failure = ""
	}
}

// refresh reads a feed once. A list that cannot be read never replaces a good one.
func (r *revoker) refresh(f *feed) (changed bool, err error) {
	document, version, err := f.read(f.version)
	if err != nil {
		return false, err
	}
	if version != nil && version == f.version {
		return false, nil
	}
	list, err := parseRevocations(document)
	if err != nil {
		return false, err
	}
	if r.maxAge > 0 && list.updated.IsZero() {
		return false, errors.New("updated is missing, which maxAge needs")
	}
	before := f.current.Swap(list)
	f.version = version
	return before == nil || !before.equal(list), nil
}

// check refuses a token that is revoked, or of which nobody knows.
func (r *revoker) check(issuer string, m marks, now time.Time) error {
	for _, f := range r.feeds {
		list := f.current.Load()
		if list == nil {
			return refusal(authz.TokenRevocationStale, "the revocation list (%s) is not there yet", f.name)
		}
		if r.maxAge > 0 && now.Sub(list.updated) > r.maxAge {
			return refusal(authz.TokenRevocationStale, "the revocation list (%s) was not updated for %s", f.name, r.maxAge)
		}
		if what := list.revokes(issuer, m); what != "" {
			return refusal(authz.TokenRevoked, "the token is revoked by its %s", what)
		}
	}
	return nil
}

// state is nil while the lists are young enough.
func (r *revoker) state() error {
	for _, f := range r.feeds {
		list := f.current.Load()
		if list == nil {
			return fmt.Errorf("the revocation list (%s) is not there yet", f.name)
		}
		if updated := list.updated; r.maxAge > 0 && r.now().Sub(updated) > r.maxAge {
			return fmt.Errorf("the revocation list (%s) is of %s, older than %s", f.name, updated.UTC().Format(time.RFC3339), r.maxAge)
		}
	}
	return nil
}
