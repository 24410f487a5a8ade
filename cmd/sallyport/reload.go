package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/telemetry"
)

// Times of a reload.
const (
	lookInterval = time.Second
	// retryLooks is after how many looks a file that was refused is tried again, though it is the same:
	// what it names may have come meanwhile, such as a policy's files or an issuer's keys.
	retryLooks = 10
	// readyPatience is how long new stages may take until they decide as well as the old ones: bundles
	// and keys are fetched anew.
	readyPatience = 10 * time.Second
	// drainMargin is how much longer than request.timeout checks of the old stages may take.
	drainMargin = time.Second
	// closePatience is how long the old stages may take to write the records that are queued.
	closePatience = 5 * time.Second
)

// A reloader takes over what changes in the configuration file. A file with a mistake changes nothing.
type reloader struct {
	line    *line
	file    string
	signals <-chan os.Signal // each makes it look at once; nil: none

	seen    []byte // when it last looked
	looks   int    // since the file was refused
	accepts atomic.Uint64
	refuses atomic.Uint64
	failure atomic.Pointer[string] // of the file as it is now; nil: it is in force
}

// run looks at the file until ctx ends. It is read as a whole every time, so that no event of a file
// system can be missed, whatever links lead there.
func (r *reloader) run(ctx context.Context) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.look(ctx)
		case <-r.signals:
			r.seen = nil
			r.look(ctx)
		}
	}
}

// trouble says why the file is not in force; nil where it is.
func (r *reloader) trouble() error {
	if text := r.failure.Load(); text != nil {
		return errors.New("the configuration file is refused, the old one stays: " + *text)
	}
	return nil
}

// counts are of the changes so far, and whether the file is in force.
func (r *reloader) counts() telemetry.Configuration {
	return telemetry.Configuration{Loaded: r.accepts.Load(), Refused: r.refuses.Load(), Stale: r.failure.Load() != nil}
}

// look takes over a file that has changed.
func (r *reloader) look(ctx context.Context) {
	text, err := config.Read(r.file)
	if err == nil && r.seen != nil && bytes.Equal(text, r.seen) {
		r.looks++
		if r.failure.Load() == nil || r.looks < retryLooks {
			return
		}
	}
	r.looks = 0
	var changes []config.Change
	if err == nil {
		r.seen = text
		changes, err = r.take(ctx, text)
	}
	r.tell(ctx, changes, err)
}

func (r *reloader) take(ctx context.Context, text []byte) ([]config.Change, error) {
	next, err := config.Parse(r.file, text)
	if err != nil {
		return nil, err
	}
	changes := r.line.stages().cfg.Diff(next)
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, r.line.replace(ctx, next)
}

// tell says what became of the file: in the log once, in /readyz as long as it lasts.
func (r *reloader) tell(ctx context.Context, changes []config.Change, err error) {
	log := r.line.logger
	if err != nil {
		text := err.Error()
		if last := r.failure.Swap(&text); ctx.Err() == nil && (last == nil || *last != text) {
			r.refuses.Add(1)
			log.Error("configuration refused, the old one stays", "file", r.file, "error", text)
		}
		return
	}
	mended := r.failure.Swap(nil) != nil
	if len(changes) == 0 {
		if mended {
			log.Info("configuration is the one in force again", "file", r.file)
		}
		return
	}
	r.accepts.Add(1)
	log.Info("configuration reloaded", "file", r.file)
	for _, change := range changes {
		level := slog.LevelInfo
		if change.Restart {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "configuration changed", "setting", change.String())
	}
}

// replace lets a new configuration decide. The checks under way are not touched: those of the old
// stages are waited for before these are closed.
func (l *line) replace(ctx context.Context, cfg *config.Config) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	before := l.stages()
	// What needs a restart stays as it is.
	cfg.Listen, cfg.Telemetry, cfg.Log.Format = before.cfg.Listen, before.cfg.Telemetry, before.cfg.Log.Format
	limits := before.cfg.Limits
	limits.Connections, limits.Checks, limits.Wait = cfg.Limits.Connections, cfg.Limits.Checks, cfg.Limits.Wait
	cfg.Limits = limits
	next, err := l.newStages(ctx, cfg, before)
	if err != nil {
		return err
	}
	if err := next.await(ctx, before); err != nil {
		return errors.Join(err, next.close(ctx, before))
	}
	if before.decider != before.engine && next.decider != before.decider {
		l.logger.Warn("the candidate that was promoted decides no more: the policy of the configuration file is another one",
			"revision", before.decider.Revision(), "now", next.decider.Revision())
	}
	l.watched.SetIssuers(issuers(cfg))
	l.server.SetLoad(load(cfg))
	if l.env.level != nil {
		l.env.level.Set(cfg.Log.Severity())
	}
	l.turn(ctx, before, next)
	return nil
}

// turn lets next decide, and closes what only those before had.
func (l *line) turn(ctx context.Context, before, next *stages) {
	l.turns.begin(next)
	defer l.turns.end()
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), before.cfg.Request.Timeout+drainMargin)
	defer cancel()
	if err := l.service.Replace(draining, next.service); err != nil {
		l.logger.Warn("checks of the old configuration are cut off", "error", err)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	if err := before.close(closing, next); err != nil {
		l.logger.Warn("the old configuration did not end well", "error", err)
	}
}

// await waits until new stages decide as well as those before: with a policy, and with every issuer's
// keys where these had them.
func (s *stages) await(ctx context.Context, before *stages) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := s.missing(before)
		if missing == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", readyPatience, missing)
		}
	}
}

func (s *stages) missing(before *stages) error {
	if before.decider.Ready() == nil {
		if err := s.decider.Ready(); err != nil {
			return err
		}
	}
	if before.verifier.Ready() == nil {
		return s.verifier.Ready()
	}
	return nil
}
