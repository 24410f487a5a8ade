package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/shadow"
)

// candidateRetry is when a candidate that could not be loaded is tried again: what was wrong may have
// been mended where no file of it is watched.
const candidateRetry = 10 * time.Second

// The states of a candidate.
const (
	candidateWaiting   = "waiting" // for its bundles, or to be compiled
	candidateBroken    = "broken"
	candidateComparing = "comparing"
	candidatePromoted  = "promoted"
	candidateDropped   = "dropped"
)

// A candidate is the policy on trial of a configuration. It is loaded beside the checks: no start and
// no reload waits for it, and where it cannot be loaded nothing else is the worse for it.
type candidate struct {
	cfg    *config.Config
	live   *policy.Engine // that it is compared with
	logger *slog.Logger
	shadow func(*policy.Engine) *shadow.Shadow

	trial    atomic.Pointer[trial]     // nil: not loaded yet, or dropped
	failure  atomic.Pointer[string]    // why it cannot be loaded
	promoted atomic.Pointer[time.Time] // nil: it does not decide
	dropped  atomic.Bool

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// A trial is a candidate that was loaded.
type trial struct {
	engine *policy.Engine
	shadow *shadow.Shadow
}

// newCandidate begins to load the candidate of a configuration; nil where it has none.
func (l *line) newCandidate(cfg *config.Config, live *policy.Engine) *candidate {
	if cfg.Policy.Candidate == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &candidate{
		cfg: cfg, live: live, logger: l.logger.With("policy", "candidate"), cancel: cancel,
		shadow: func(engine *policy.Engine) *shadow.Shadow { return l.newShadow(cfg, live, engine) },
	}
	c.done.Go(func() { c.load(ctx) })
	return c
}

// load tries until it succeeds: again when a file changes, and after a time.
func (c *candidate) load(ctx context.Context) {
	loading, loaded := context.WithCancel(ctx)
	defer loaded()
	again := time.NewTicker(candidateRetry)
	defer again.Stop()
	var changes chan struct{}
	for {
		engine, err := openCandidate(ctx, candidateConfig(c.cfg, c.logger))
		switch {
		case err == nil && ctx.Err() != nil: // nobody waits for it any more
			_ = engine.Close() // and nobody is told
			return
		case err == nil:
			c.failure.Store(nil)
			c.trial.Store(&trial{engine, c.shadow(engine)})
			return
		}
		if changes == nil {
			changes = make(chan struct{}, 1)
			c.done.Go(func() { c.watch(loading, changes) })
		}
		c.broken(err)
		select {
		case <-ctx.Done():
			return
		case <-changes:
		case <-again.C:
		}
	}
}

// watch tells of changes of the candidate's files.
func (c *candidate) watch(ctx context.Context, changes chan<- struct{}) {
	err := policy.Watch(ctx, candidateConfig(c.cfg, c.logger).Files, func(context.Context) {
		select {
		case changes <- struct{}{}:
		default: // one is waiting to be looked at
		}
	})
	if err != nil {
		c.logger.Warn("the candidate's files are not watched: it is tried again after a time", "every", candidateRetry, "error", err)
	}
}

// broken notes why the candidate cannot be loaded.
func (c *candidate) broken(err error) {
	text := candidateText(err)
	if last := c.failure.Swap(&text); last == nil || *last != text {
		c.logger.Error("the candidate is broken, and nothing is compared; the policy that decides is not touched", "error", text)
	}
}

// openCandidate loads a policy that must not bring the server down, whatever is in it.
func openCandidate(ctx context.Context, cfg policy.Config) (_ *policy.Engine, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic of type %T while it was loaded", p)
		}
	}()
	return policy.New(context.WithoutCancel(ctx), cfg) // close ends it
}

// candidateText is an error of the candidate's policy, in the names of its settings.
func candidateText(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "policy: "), "capabilities.allowNet", "policy.candidate.allowNet")
}

// Record implements [authz.Recorder].
func (c *candidate) Record(ctx context.Context, record *authz.Record) error {
	if t := c.trial.Load(); t != nil {
		return t.shadow.Record(ctx, record)
	}
	return nil
}

// recorders are the candidate, where it is to be compared.
func (c *candidate) recorders() authz.Recorders {
	if c == nil || c.dropped.Load() || c.promoted.Load() != nil {
		return nil
	}
	return authz.Recorders{c}
}

// state is what became of it, and what an operator should know of that.
func (c *candidate) state() (state string, trouble error) {
	if c == nil {
		return "", nil
	}
	t := c.trial.Load()
	switch text := c.failure.Load(); {
	case c.dropped.Load():
		return candidateDropped, nil
	case text != nil:
		return candidateBroken, errors.New(*text)
	case t == nil:
		return candidateWaiting, errors.New("it is being loaded")
	}
	refused := t.engine.Loads().Refused
	if err := t.engine.Ready(); err != nil {
		if refused > 0 {
			return candidateBroken, fmt.Errorf("%s; %d attempts failed, of which the log tells", candidateText(err), refused)
		}
		return candidateWaiting, errors.New(candidateText(err))
	}
	if refused > 0 {
		trouble = fmt.Errorf("a newer one was refused %d times, of which the log tells; the one before is kept", refused)
	}
	if c.promoted.Load() != nil {
		return candidatePromoted, trouble
	}
	return candidateComparing, trouble
}

// revision is that of the candidate; "" where it has none.
func (c *candidate) revision() string {
	if c == nil {
		return ""
	}
	if t := c.trial.Load(); t != nil {
		return t.engine.Revision()
	}
	return ""
}

// trouble is what /readyz says of it.
func (c *candidate) trouble() error {
	state, trouble := c.state()
	switch {
	case state == candidatePromoted:
		return errors.Join(trouble, fmt.Errorf("the candidate policy %s decides since %s, and a restart ends that: %s",
			c.revision(), c.promoted.Load().UTC().Format(time.RFC3339), candidateToDo(c.cfg)))
	case trouble != nil:
		return fmt.Errorf("the candidate policy is %s: %w", state, trouble)
	}
	return nil
}

// close ends the trial, and the candidate's policy, and waits until ctx ends. Decide of its engine goes
// on with the last policy.
func (c *candidate) close(ctx context.Context) error {
	if c == nil {
		return nil
	}
	c.cancel()
	loaded := make(chan struct{})
	go func() {
		c.done.Wait()
		close(loaded)
	}()
	select {
	case <-loaded:
	case <-ctx.Done():
		return fmt.Errorf("the candidate is still being compiled: %w", ctx.Err())
	}
	t := c.trial.Swap(nil)
	if t == nil {
		return nil
	}
	return errors.Join(t.shadow.Close(ctx), t.engine.Close())
}
