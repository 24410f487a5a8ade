// Package authz is the story of a check, told with the standard library alone.
//
// Before Envoy lets a request through, it asks. The journey of the answer:
//
//  1. A [Request] is read from what Envoy sent, once, at the edge. What cannot be read
//     carries a [Request.Fault] and goes no further.
//  2. The first door, a [Verifier], says who asks: an [Identity] with a [Token] for every
//     slot that the configuration names. A token that is present and bad is refused here;
//     a missing one goes on, and policy sees it missing.
//  3. The second door, a [Decider], asks the policy and returns a [Decision].
//  4. A [Recorder] receives one [Record], whatever was decided.
//
// [Checker.Check] is that whole line, and the one place that fails closed: an error, a
// panic, a passed deadline or an answer nobody gave is a denial. The zero Decision denies,
// the zero Identity is anonymous. Every refusal has two texts: a [Reason], which may reach
// the caller, and an error, which is for the operator alone.
package authz

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// A Verifier is the first door: it verifies the tokens on a request.
//
// An absent token is no error; a token that is present and bad is an [*Error] with a Reason.
// The Identity returned beside an error holds what could be established, for the record alone.
// Verify is called concurrently, honours ctx and keeps nothing of the request.
type Verifier interface {
	Verify(ctx context.Context, req *Request) (Identity, error)
}

// A Decider is the second door: it asks the policy whether this identity may make this request.
//
// An error denies, with the Reason of the [*Error] in its chain. A Decision that allows lists in
// Upstream.RemoveHeaders every header that the policy could have set and did not.
// Decide is called concurrently, honours ctx and keeps nothing of its arguments.
type Decider interface {
	Decide(ctx context.Context, req *Request, id Identity) (Decision, error)
}

// A Recorder receives the record of every check, exactly once, after the decision.
//
// An error denies: a check that must be recorded and cannot be is not allowed. Record is called
// concurrently; the caller is waiting. The record is shared and must not be changed.
type Recorder interface {
	Record(ctx context.Context, record *Record) error
}

// A Checker takes requests through both doors. Its fields are set before the first Check.
type Checker struct {
	Verifier Verifier
	Decider  Decider
	Recorder Recorder

	// FlagAmbiguousPaths lets a request with an ambiguous path (see [Path]) reach the policy,
	// which sees input.path_ambiguous. The zero value refuses it before any door.
	FlagAmbiguousPaths bool

	// Challenge is what refusals say of this service.
	Challenge Challenge

	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Check answers one request and records the answer. It never fails: what goes wrong is a denial.
func (c *Checker) Check(ctx context.Context, req *Request) Decision {
	record := Record{ID: newID(), Time: c.now(), Request: req}
	record.Err = guard(func() error { return c.bothDoors(ctx, &record) })
	switch {
	case record.Err != nil:
		record.Decision = refuse(&record, c.Challenge, record.Err)
	case record.Decision.Allowed:
		record.Decision = allow(&record)
	default:
		record.Decision = deny(&record, c.Challenge)
	}
	record.Duration = c.now().Sub(record.Time)
	if err := guard(func() error { return c.Recorder.Record(ctx, &record) }); err != nil {
		return refuse(&record, c.Challenge, err)
	}
	return record.Decision
}

// bothDoors is the line itself; the cheap checks come first. What it finds out on the way is in
// the record even where it fails.
func (c *Checker) bothDoors(ctx context.Context, record *Record) (err error) {
	if err := c.readable(record.Request); err != nil {
		return err
	}
	if record.Identity, err = c.Verifier.Verify(ctx, record.Request); err != nil {
		return err
	}
	if record.Decision, err = c.Decider.Decide(ctx, record.Request, record.Identity); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return &Error{Reason: Timeout, Err: fmt.Errorf("authz: the check took too long: %w", err)}
	}
	return nil
}

// readable refuses what two readers could take for two requests.
func (c *Checker) readable(req *Request) error {
	if req.Fault != nil {
		return req.Fault
	}
	if req.HTTP != nil && req.HTTP.Path.Ambiguity != "" && !c.FlagAmbiguousPaths {
		return &Error{Reason: PathAmbiguous, Err: errors.New("authz: the path has " + req.HTTP.Path.Ambiguity)}
	}
	return nil
}

func (c *Checker) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// guard runs f and makes an error of a panic. The text of a panic may quote the request, so
// only that of the runtime's own errors is kept.
func guard(f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = &Error{Reason: Internal, Err: fmt.Errorf("authz: panic: %w", p)}
		default:
			err = &Error{Reason: Internal, Err: fmt.Errorf("authz: panic of type %T", p)}
		}
	}()
	return f()
}
