package shadow

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// work is a goroutine that compares.
func (s *Shadow) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case record := <-s.queue:
			s.bytes.Add(-sizeOf(record))
			if s.relief.wanted(s.config.Now()) {
				s.drop()
				continue
			}
			s.compare(ctx, record)
		}
	}
}

// compare asks the candidate about one check.
func (s *Shadow) compare(ctx context.Context, record *authz.Record) {
	live, candidate := s.config.Revisions()
	asking, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	began := s.config.Now()
	asked := authz.Checker{
		Verifier: known(record.Identity), Decider: asOf{s, timeOf(record)}, Recorder: authz.Recorders{},
		Challenge: s.config.Challenge, FlagAmbiguousPaths: true, // the live check has refused it, or flags it too
	}
	decision := asked.Check(asking, record.Request)
	switch {
	case ctx.Err() != nil, decision.Reason == authz.NotReady: // it is ending, or has not begun
		return
	case record.Decision.Revision != live, decision.Revision != candidate && decision.Revision != "":
		return // decided by a revision that is gone, which no sum is about
	}
	c := &authz.Comparison{
		Record: record, Candidate: decision, Difference: authz.Compare(record.Decision, decision), Duration: s.config.Now().Sub(began),
	}
	s.ledger.enter(c, pair{live, candidate}, began)
	s.config.Compared(c)
}

// timeOf is when the live policy was asked, where it kept that, or when the check began.
func timeOf(record *authz.Record) time.Time {
	if basis := record.Decision.Basis; basis != nil && !basis.Time.IsZero() {
		return basis.Time
	}
	return record.Time
}

// known is a first door that was passed.
type known authz.Identity

// Verify implements [authz.Verifier].
func (k known) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	return authz.Identity(k), nil
}

// asOf is the candidate at a time.
type asOf struct {
	*Shadow
	time time.Time
}

// Decide implements [authz.Decider].
func (a asOf) Decide(ctx context.Context, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	return a.config.Decide(ctx, a.time, req, id)
}

// reliefTime is how long nothing is compared after the server turned a check away.
const reliefTime = time.Second

// relief tells when the server needs all of its time for the checks themselves.
type relief struct {
	pressure func() uint64 // nil: it never does

	mu    sync.Mutex
	seen  uint64
	until time.Time
}

func (r *relief) wanted(now time.Time) bool {
	if r.pressure == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if count := r.pressure(); count != r.seen {
		r.seen, r.until = count, now.Add(reliefTime)
	}
	return now.Before(r.until)
}
