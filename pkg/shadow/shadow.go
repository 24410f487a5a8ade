// Package shadow asks a candidate policy about the checks that another policy decides, and compares.
//
// The journey of a check, seen from here:
//
//  1. A [Shadow] hears of the check last (it is an [authz.Recorder]): the caller's answer is made. A
//     share of the checks that a policy decided is put into a queue, as pointers: nothing is copied,
//     rendered or waited for. Where the queue is full the check is dropped and counted.
//  2. A few goroutines, one by default, ask the candidate (work.go), as of the time of the check, with
//     the identity that was verified then. What the candidate answers goes through the same
//     [authz.Checker] as any other decision, so like is compared with like, and a panic, a passed
//     deadline or an error is a denial here too. While the server turns checks away for want of time,
//     what waits here is dropped first.
//  3. Each comparison is handed to who counts, logs and shows it, and is summed up for the pair of
//     revisions that it is about (ledger.go). Another revision on either side begins a new sum: what
//     was compared is what is promoted.
//
// A check that never came to the policy is not compared, nor is one whose live decision the server
// itself failed to make (a passed deadline, a panic, a record without room): it says nothing about
// the policy.
package shadow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Config says whom to ask, about how much, and whom to tell. Functions are called concurrently.
type Config struct {
	// Decide asks the candidate, as [authz.Decider] says, as of a time. A candidate without a policy
	// yet answers [authz.NotReady], and such a check is not compared.
	Decide func(ctx context.Context, at time.Time, req *authz.Request, id authz.Identity) (authz.Decision, error)

	// Revisions are those of the policy that decides and of the candidate, now.
	Revisions func() (live, candidate string)

	// Compared receives every comparison, those without a difference too; Dropped is called for every
	// check that was to be compared and was not. nil: nobody is told.
	Compared func(*authz.Comparison)
	Dropped  func()

	// Pressure is a count that grows while the server turns checks away; nil: it never does.
	Pressure func() uint64

	Challenge authz.Challenge // as that of the checks
	Share     float64         // of the checks that are compared; 0 means all
	Workers   int             // candidates' evaluations at once; 0 means 1
	Timeout   time.Duration   // of each; 0 means 1 s

	// MaxChecks and MaxBytes bound what waits, and so stays in memory; 0 means 1,024 and 8 MiB.
	MaxChecks int
	MaxBytes  int64

	Now func() time.Time // nil means time.Now
}

// A Shadow compares. It is an [authz.Recorder].
type Shadow struct {
	config Config
	queue  chan *authz.Record
	bytes  atomic.Int64 // of what is in the queue
	ledger ledger
	relief relief

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// New starts to compare; Close ends it.
func New(config Config) *Shadow {
	ctx, cancel := context.WithCancel(context.Background())
	config = config.withDefaults()
	s := &Shadow{config: config, queue: make(chan *authz.Record, config.MaxChecks), cancel: cancel}
	s.relief.pressure = config.Pressure
	for range config.Workers {
		s.done.Go(func() { s.work(ctx) })
	}
	return s
}

func (c Config) withDefaults() Config {
	if c.Share <= 0 {
		c.Share = 1
	}
	if c.Workers <= 0 {
		c.Workers = 1
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Second
	}
	if c.MaxChecks <= 0 {
		c.MaxChecks = 1 << 10
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 8 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Compared == nil {
		c.Compared = func(*authz.Comparison) {}
	}
	if c.Dropped == nil {
		c.Dropped = func() {}
	}
	return c
}

// Record implements [authz.Recorder]. It never fails, and never waits: the check does.
func (s *Shadow) Record(_ context.Context, record *authz.Record) error {
	if !decided(record) || s.config.Share < 1 && rand.Float64() >= s.config.Share { //nolint:gosec // nothing is gained by a guess
		return nil
	}
	size := sizeOf(record)
	if s.bytes.Add(size) > s.config.MaxBytes {
		s.bytes.Add(-size)
		s.drop()
		return nil
	}
	select {
	case s.queue <- record:
	default:
		s.bytes.Add(-size)
		s.drop()
	}
	return nil
}

func (s *Shadow) drop() {
	s.ledger.dropped.Add(1)
	s.config.Dropped()
}

// Close ends the comparing, the evaluations that run too, and waits for them until ctx ends: a builtin
// that does not look at its deadline must hold nobody up. What is queued is forgotten.
func (s *Shadow) Close(ctx context.Context) error {
	s.cancel()
	ended := make(chan struct{})
	go func() {
		s.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("shadow: an evaluation of the candidate does not end: %w", ctx.Err())
	}
}

// decided tells whether a policy decided: it names its revision also where it failed. What only the
// server failed at is left out.
func decided(record *authz.Record) bool {
	switch record.Decision.Reason {
	case authz.Timeout, authz.Internal, authz.Unrecorded, authz.NotReady, authz.Overloaded:
		return false
	}
	return record.Decision.Revision != ""
}

// sizeOf estimates what a record in the queue keeps in memory: the message, whose bytes its texts are,
// as much again for maps, and what else there is to a check.
func sizeOf(record *authz.Record) int64 { return int64(2*record.Request.MessageBytes) + 2<<10 }
