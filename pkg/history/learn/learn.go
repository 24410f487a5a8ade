// Package learn proposes the least privilege that a decision log needs: rules for the shipped policy that
// allow what was allowed, and nothing that was denied.
//
// The log is read several times, each time with as much memory as the proposal needs:
//
//  1. Which paths differ in what people would call a parameter (shape.go).
//  2. What all allowed requests of one path, method and kind of caller have in common (profile.go). A rule
//     is made of it, as narrow as that (rule.go).
//  3. The rules decide about requests that nobody made, near to what they allow (suppose.go). Where the
//     recorded policy is at hand and denies one, the rule is narrowed (narrow.go).
//  4. The rules decide about every record again (verify.go). A rule that allows what was denied is
//     narrowed, or given up, and the log is read again.
//
// A [Proposal] that would allow a denied request is never made. It says what it would deny, and why.
package learn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
)

// What is kept, however long the log is.
const (
	maxRules      = 500  // distinct paths, methods and kinds of callers
	maxValues     = 64   // of a parameter of a path, of a claim or of a body's field
	maxPaths      = 200  // of one rule, for when its path cannot have parameters
	maxSubjects   = 200  // of one rule: users and workloads
	maxIdentities = 25   // that are supposed to make requests which they did not make
	maxCases      = 300  // allowed ones, and as many denied ones
	maxDenials    = 1000 // that narrow rules, of one reading of the log
	maxListed     = 100  // differences that are listed
	rounds        = 30   // of narrowing by the log
)

// A Policy is one that is asked. Its functions are called concurrently.
type Policy struct {
	// Decide asks about a request of the past or one that never was, and says which rule decided, where the
	// policy names it.
	Decide func(ctx context.Context, at time.Time, req *authz.Request, id authz.Identity) (allowed bool, rule string)

	// Again decides again what was recorded. The error is a [*replay.Undecided] where the record does not
	// tell enough; any other ends the learning.
	Again func(ctx context.Context, r *history.Record) (allowed bool, rule string, err error)

	Close func() error

	Revision string // as records have it
}

// A Config says what is learned from.
type Config struct {
	// Read reads the whole log, from its beginning every time. It calls do concurrently.
	Read func(ctx context.Context, do func(*history.Record) error) error

	// Make makes the shipped policy with data; MakeRego a policy of a module, likewise.
	Make     func(ctx context.Context, data map[string]any) (*Policy, error)
	MakeRego func(ctx context.Context, module string) (*Policy, error)

	// Recorded is the policy that made the record; nil: it is not at hand.
	Recorded *Policy

	// Distinct is how many values a segment of a path must have had to become a parameter; 0 means 3.
	Distinct int

	// Workloads are slots whose tokens are workloads': other slots come first in a rule, since conditions on
	// claims are about the first.
	Workloads []string
}

// A learner is a Config at work.
type learner struct {
	Config
	shapes    shapes
	profiles  []*profile
	splits    map[route]int // how finely requests are told apart
	stale     bool          // that has changed since the log was read
	seen      seen
	unlike    int // decisions that the recorded policy does not make as they were recorded
	elsewhere int // decisions of another revision
}

// trusts tells whether the policy at hand is the one that made the record.
func (l *learner) trusts() bool { return l.Recorded != nil && l.unlike+l.elsewhere == 0 }

// Learn reads the log and makes a proposal.
func Learn(ctx context.Context, config Config) (*Proposal, error) {
	if config.Distinct == 0 {
		config.Distinct = 3
	}
	if config.Distinct < 2 || config.Distinct > maxValues {
		return nil, fmt.Errorf("learn: %d distinct values: must be from 2 to %d", config.Distinct, maxValues)
	}
	l := &learner{Config: config, shapes: newShapes(config.Distinct), splits: map[route]int{}, seen: newSeen()}
	if err := l.Read(ctx, l.shapes.add); err != nil {
		return nil, err
	}
	if err := l.profile(ctx); err != nil {
		return nil, err
	}
	if len(l.profiles) == 0 {
		return nil, errors.New("learn: the log has no allowed request that a policy decided, so there is nothing to allow")
	}
	for range rounds {
		if err := l.suppose(ctx); err != nil {
			return nil, err
		}
		v, err := l.verify(ctx)
		if err != nil {
			return nil, err
		}
		if len(v.breaches) == 0 && !l.stale {
			return l.propose(ctx, v)
		}
		if err := l.narrow(v.breaches); err != nil {
			return nil, err
		}
		if l.stale {
			if err := l.profileAgain(ctx); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("learn: no proposal was found in %d rounds that denies all that was denied", rounds)
}
