package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Times of a key ring.
const (
	attemptTimeout = 5 * time.Second // of a rule that says nothing
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = 30 * time.Second
	minRetry       = time.Second
	maxRetry       = time.Minute
	// maxRetryEmpty holds while there are no keys at all and every token of the issuer is refused:
	// with its jitter it stays below 2 s, so that is how long an issuer that comes back is kept waiting.
	maxRetryEmpty = 1800 * time.Millisecond
	// maxStale is how long keys are believed that the issuer no longer confirms.
	maxStale = 24 * time.Hour
)

// Limits of what an unknown kid can cause. Anyone can invent one.
const (
	unknownWait     = 200 * time.Millisecond // what a check waits for a fetch, at most
	unknownInterval = 10 * time.Second       // between two fetches that unknown ids caused
	unknownBurst    = 2
	unknownMemory   = 30 * time.Second // how long an id stays known to be unknown
	unknownEntries  = 1024
)

// A source reads a JWK set from where it is kept.
type source interface {
	// load reads the set, given the one read before (nil at first). It is called by one goroutine.
	load(ctx context.Context, before *keySet) (answer, error)
}

// An answer is what a source read.
type answer struct {
	text      []byte
	unchanged bool // text is that of the set read before
	location  string
	etag      string
	next      time.Duration // when to read again; 0: never
}

// A keyRing keeps the keys of one issuer. Checks read an immutable set without a lock; one
// goroutine, run, replaces it.
type keyRing struct {
	issuer string
	use    string // of its keys
	source source
	logger *slog.Logger
	now    func() time.Time

	timeout time.Duration                                       // of one fetch
	waited  func(ctx context.Context, issuer string, err error) // see [Observer.Waited]

	current atomic.Pointer[keySet]
	filled  chan struct{} // closed at the first set
	wake    chan struct{} // holds at most one wish for a fetch

	mu       sync.Mutex
	flight   *flight                       // the fetch under way or wished for, nil where none
	failure  error                         // of the last fetch
	failures int                           // in a row
	fetched  uint64                        // fetches that ended well
	failed   uint64                        // and those that did not
	wishes   *rate.Limiter                 // fetches that unknown ids may still cause
	absent   *lru.Cache[string, time.Time] // ids that the issuer did not know, and until when that is believed
}

// A flight is one fetch, and all who wait for it.
type flight struct {
	begun bool
	done  chan struct{}
}

func newKeyRing(issuer, use string, source source, logger *slog.Logger, now func() time.Time) (*keyRing, error) {
	absent, err := lru.New[string, time.Time](unknownEntries)
	if err != nil {
		return nil, err
	}
	return &keyRing{
		issuer: issuer, use: use, source: source, logger: logger, now: now,
		filled: make(chan struct{}),
		wake:   make(chan struct{}, 1),
		wishes: rate.NewLimiter(rate.Every(unknownInterval), unknownBurst),
		absent: absent,
	}, nil
}

// run keeps the keys fresh until ctx ends.
func (r *keyRing) run(ctx context.Context) {
	for {
		next := r.refresh(ctx)
		if next == 0 {
			return
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-r.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// refresh reads the source once and tells when to read it again; 0 means never.
func (r *keyRing) refresh(ctx context.Context) time.Duration {
	f := r.begin()
	attempt, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	before := r.current.Load()
	a, err := r.source.load(attempt, before)
	if err == nil {
		err = r.accept(a, before)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return r.end(f, a.next, err)
}

func (r *keyRing) begin() *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.wake:
	default:
	}
	if r.flight == nil {
		r.flight = &flight{done: make(chan struct{})}
	}
	r.flight.begun = true
	return r.flight
}

// accept makes an answer the current set, unless it is worse than none.
func (r *keyRing) accept(a answer, before *keySet) error {
	if a.unchanged || before != nil && before.text == string(a.text) {
		return r.confirm(a, before)
	}
	set, warnings, err := parseKeySet(a.text, r.use)
	for _, w := range warnings {
		r.warn(w)
	}
	if err != nil {
		return err
	}
	set.location, set.etag = a.location, a.etag
	set.fixed, set.confirmed = a.next == 0, r.now()
	if before != nil {
		set.generation = before.generation + 1
		set.reuse(before)
	}
	r.current.Store(set)
	r.logger.Info("token: keys changed", "issuer", r.issuer, "keys", set.size, "generation", set.generation)
	if before == nil {
		close(r.filled)
	}
	return nil
}

// confirm makes the set younger that the issuer stands by.
func (r *keyRing) confirm(a answer, before *keySet) error {
	if before == nil {
		return errors.New("the issuer confirmed keys that it never sent")
	}
	confirmed := *before
	confirmed.confirmed = r.now()
	if !a.unchanged {
		confirmed.location, confirmed.etag = a.location, a.etag
	}
	r.current.Store(&confirmed)
	return nil
}

func (r *keyRing) warn(err error) {
	level := slog.LevelWarn
	if errors.Is(err, errLeaked) {
		level = slog.LevelError
	}
	r.logger.Log(context.Background(), level, "token: JWK set", "issuer", r.issuer, "err", err)
}

// end frees those who wait and plans the next fetch.
func (r *keyRing) end(f *flight, next time.Duration, err error) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(f.done)
	r.flight = nil
	news := err != nil && (r.failure == nil || r.failure.Error() != err.Error())
	r.failure = err
	if err == nil {
		r.failures = 0
		r.fetched++
		return jitter(next)
	}
	r.failed++
	if news && !errors.Is(err, context.Canceled) {
		r.logger.Warn("token: keys not refreshed", "issuer", r.issuer, "err", err)
	}
	most := maxRetry
	if r.current.Load() == nil {
		most = maxRetryEmpty
	}
	wait := min(minRetry<<min(r.failures, 6), most)
	r.failures++
	return jitter(wait)
}

// jitter spreads a time by a tenth either way, so that many servers do not ask at once.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // G404: nobody gains by guessing it
}

// key finds the key for a token. Where its kid is known there is no lock and no waiting.
func (r *keyRing) key(ctx context.Context, kid string) (*key, error) {
	set, err := r.usable()
	if err != nil {
		return nil, err
	}
	if k := set.find(kid); k != nil {
		return k, nil
	}
	if kid == "" {
		return nil, refusal(authz.TokenKeyUnknown, "the token names no key, and its issuer has several")
	}
	if set.fixed {
		return nil, r.unknown()
	}
	return r.ask(ctx, kid)
}

// usable is the current set, as long as it may be believed.
func (r *keyRing) usable() (*keySet, error) {
	set := r.current.Load()
	if set == nil {
		return nil, refusal(authz.TokenKeysUnavailable, "the issuer's keys are not there yet")
	}
	if !set.fixed && r.now().Sub(set.confirmed) > maxStale {
		return nil, refusal(authz.TokenKeysUnavailable, "the issuer has not confirmed its keys for %s", maxStale)
	}
	return set, nil
}

// ask looks for a kid that the current set does not have: the issuer may have a new key. All who
// ask share one fetch, and few fetches are made, so that invented ids cost the issuer nothing.
func (r *keyRing) ask(ctx context.Context, kid string) (*key, error) {
	deadline := time.NewTimer(unknownWait)
	defer deadline.Stop()
	for {
		f, fresh := r.board(kid)
		if f == nil {
			return nil, r.unknown()
		}
		select {
		case <-f.done:
			r.tell(ctx)
		case <-deadline.C:
			return nil, refusal(authz.TokenKeysUnavailable, "no key of that id, and the issuer has not answered in %s", unknownWait)
		case <-ctx.Done():
			return nil, refusal(authz.Timeout, "waiting for the issuer's keys: %w", ctx.Err())
		}
		if set, err := r.usable(); err != nil {
			return nil, err
		} else if k := set.find(kid); k != nil {
			return k, nil
		}
		if fresh {
			return nil, r.remember(kid)
		}
	}
}

// board joins the fetch under way, or wishes for one. It gives none for an id that is known to be
// unknown, or where no more fetches may be made now. A fresh fetch began after the question, so
// its answer is the answer; one that was under way may have missed a new key by a moment.
func (r *keyRing) board(kid string) (f *flight, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until, found := r.absent.Get(kid); found && r.now().Before(until) {
		return nil, false
	}
	if r.flight == nil {
		if !r.wishes.AllowN(r.now(), 1) {
			return nil, false
		}
		r.flight = &flight{done: make(chan struct{})}
		r.wake <- struct{}{} // has room: begin empties it, and only a new flight fills it
	}
	return r.flight, !r.flight.begun
}

// remember notes an id that the issuer has just been asked for in vain.
func (r *keyRing) remember(kid string) error {
	r.mu.Lock()
	if r.failure == nil {
		r.absent.Add(kid, r.now().Add(unknownMemory))
	}
	r.mu.Unlock()
	return r.unknown()
}

// unknown is the answer for an id that is not in the set. While the issuer cannot be asked nobody
// knows whether it is right, so the caller is asked to come again.
func (r *keyRing) unknown() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		return refusal(authz.TokenKeysUnavailable, "no key of that id, and the issuer cannot be asked: %w", r.failure)
	}
	return refusal(authz.TokenKeyUnknown, "the issuer has no key of that id")
}

// state is nil while tokens of the issuer can be verified.
func (r *keyRing) state() error {
	_, err := r.usable()
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		return fmt.Errorf("issuer %q: %w: %w", r.issuer, err, r.failure)
	}
	return fmt.Errorf("issuer %q: %w", r.issuer, err)
}
