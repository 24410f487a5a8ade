// Package replay says what a policy would have decided otherwise: it has every decision of a log made
// again, and shows the differences.
//
// The journey of a record:
//
//  1. What no policy decided, such as a refused token or a timeout, stays as it was and is counted apart
//     (replay.go).
//  2. The recorded policy, where there is one of the record's revision, decides again. Its answer must be
//     the recorded one (proof.go): else the log, or what was said to be its policy, is unfit for any
//     conclusion.
//  3. The candidate decides. A record has only what the recorded policy read, so a candidate that reads
//     more may be unable to tell: that is [Undecided], and never a denial for want of what was not
//     recorded.
//  4. Both answers are completed as a server does it and compared (compare.go).
//  5. What differs is counted in groups of route, principal and rule, with a sample of each (tally.go), and
//     becomes a [Result], which is JSON, or a document for people (document.go).
//
// To replay a proposal from Go: [Run] with the log and a [Decider] for the proposal. A caller that made the
// proposal from the same log may do without the recorded policies; then nothing is proved, and what the
// recorded policy did not read is undecided.
package replay

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
)

// A Decider decides again what a record tells of: at the recorded time, with the recorded results of
// builtins, and without a network.
//
// The error is an [*Undecided], or an [*authz.Error] for a denial; any other ends the replay. It is called
// concurrently.
type Decider interface {
	Again(ctx context.Context, r *history.Record) (authz.Decision, error)
}

// Undecided is the error of a decision that its record does not tell enough for.
type Undecided struct {
	Missing []string `json:"missing,omitempty"` // places of the input that are not in the record
	Masked  []string `json:"masked,omitempty"`  // those that the record has masked
	Results []string `json:"results,omitempty"` // builtins of which the answer is not recorded
	Why     string   `json:"why,omitempty"`     // what else it is
}

func (u *Undecided) Error() string {
	var parts []string
	for _, part := range []struct {
		what  string
		names []string
	}{{"not recorded: ", u.Missing}, {"masked: ", u.Masked}, {"no recorded answer of ", u.Results}} {
		if len(part.names) > 0 {
			parts = append(parts, part.what+strings.Join(part.names, ", "))
		}
	}
	if u.Why != "" {
		parts = append(parts, u.Why)
	}
	return strings.Join(parts, "; ")
}

// A Config says what is replayed.
type Config struct {
	Log       *history.Log
	Candidate Decider
	Recorded  map[string]Decider // by revision: the policies that made the records; none: nothing is proved
	Workers   int                // 0: as many as there are processors
	MaxGroups int                // that are kept apart; what is beyond is counted; 0: 10,000
}

// Run replays the log. It takes as much memory as its groups need, however long the log is.
func Run(ctx context.Context, config Config) (*Result, error) {
	if config.Workers <= 0 {
		config.Workers = runtime.GOMAXPROCS(0)
	}
	if config.MaxGroups <= 0 {
		config.MaxGroups = 10_000
	}
	workers := make([]*worker, config.Workers)
	for i := range workers {
		workers[i] = &worker{Config: config, tally: newTally(config.MaxGroups)}
	}
	err := config.Log.Each(ctx, config.Workers, func(n int, at history.Place, r *history.Record) error {
		if err := workers[n].record(ctx, at, r); err != nil {
			return fmt.Errorf("%v: %w", at, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := newTally(config.MaxGroups)
	for _, w := range workers {
		all.merge(w.tally)
	}
	result := all.result(config)
	result.Torn = config.Log.Torn()
	return result, nil
}

// A worker replays some of the records.
type worker struct {
	Config
	*tally
}

func (w *worker) record(ctx context.Context, at history.Place, r *history.Record) error {
	w.see(r)
	if !byPolicy(r) {
		w.apart[r.Reason]++
		return nil
	}
	before, proved, err := w.prove(ctx, at, r)
	if err != nil {
		return err
	}
	given, err := w.Candidate.Again(ctx, r)
	if u, ok := errors.AsType[*Undecided](err); ok {
		w.undecided(r, u)
		return nil
	}
	if err := fatal(err); err != nil {
		return err
	}
	after := complete(ctx, r, given, err)
	if !proved {
		before, after.Decision = fromRecord(r, after.Decision)
	}
	w.compared(r, authz.Compare(before, after.Decision), after)
	return nil
}

// byPolicy tells whether a policy made the decision. What was refused before it, or came too late, would
// have been so with any policy.
func byPolicy(r *history.Record) bool {
	if r.Complete == nil || r.Entrypoint == "" {
		return false
	}
	switch r.Reason {
	case authz.Allowed, authz.PolicyDenied, authz.PolicyUndefined, authz.PolicyConflict, authz.PolicyError, authz.PolicyAnswerInvalid:
		return true
	}
	return false
}

// fatal is an error that is no denial.
func fatal(err error) error {
	if denial, ok := errors.AsType[*authz.Error](err); err == nil || ok && denial.Reason != authz.Timeout {
		return nil
	}
	return err
}
