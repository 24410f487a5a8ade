package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy"
	"github.com/sallyport/sallyport/pkg/inspect"
	"github.com/sallyport/sallyport/pkg/server"
	"github.com/sallyport/sallyport/pkg/telemetry"
)

// A line is everything that stands between Envoy's question and its answer.
type line struct {
	env        environment
	watched    *telemetry.Telemetry
	logger     *slog.Logger // the environment's, with what telemetry adds
	turns      turns
	changing   sync.Mutex // held while other stages are made and take their turn
	service    *envoy.Switch
	server     *server.Server
	reloader   *reloader
	inspection *inspect.Service // nil without an admin listener
	closers    []func(context.Context) error
}

// An environment is what a line shares with the process it runs in.
type environment struct {
	stdout    io.Writer
	logger    *slog.Logger
	level     *slog.LevelVar  // of the logger, for a reload to change; nil: it stays
	recorders authz.Recorders // beside those of the configuration
	traced    bool            // make spans even where nothing exports them

	file    string           // of the configuration, to reload; "": it stays as it is
	hangups <-chan os.Signal // each reloads the file at once
}

// build makes the line that a configuration describes, and binds its listeners.
func build(ctx context.Context, cfg *config.Config, env environment) (*line, error) {
	l := &line{env: env}
	l.reloader = &reloader{line: l, file: env.file, signals: env.hangups}
	if err := l.build(ctx, cfg); err != nil {
		return nil, errors.Join(err, l.close(ctx))
	}
	return l, nil
}

func (l *line) build(ctx context.Context, cfg *config.Config) (err error) {
	if l.watched, err = l.watch(ctx, cfg); err != nil {
		return err
	}
	l.logger = slog.New(l.watched.LogHandler(l.env.logger.Handler()))
	l.inspection = l.newInspection(cfg)
	first, err := l.newStages(ctx, cfg, nil)
	if err != nil {
		return err
	}
	l.turns.begin(first)
	l.service = envoy.NewSwitch(first.service)
	warnOpen(cfg, l.logger)
	awaitKeys(ctx, first.verifier, l.logger)
	listening, err := l.serverConfig(cfg)
	if err != nil {
		return err
	}
	if l.server, err = server.New(ctx, listening); err != nil {
		return err
	}
	return l.watched.Watch(l.sources())
}

// stages are those that decide now.
func (l *line) stages() *stages { return l.turns.current() }

// troubles are what an operator should know though checks are decided.
func (l *line) troubles() error {
	return errors.Join(l.stages().trouble(), l.reloader.trouble())
}

// newChecker makes the line of a configuration from its parts.
func newChecker(cfg *config.Config, verifier authz.Verifier, decider authz.Decider, recorder authz.Recorder) *authz.Checker {
	return &authz.Checker{
		Verifier: verifier, Decider: decider, Recorder: recorder,
		FlagAmbiguousPaths: cfg.Request.AmbiguousPaths == config.FlagAmbiguousPaths,
		Challenge:          challenge(cfg),
	}
}

func challenge(cfg *config.Config) authz.Challenge {
	return authz.Challenge{Realm: cfg.JWT.Realm, ResourceMetadata: cfg.JWT.ResourceMetadata}
}

// run serves until ctx ends, and closes the line.
func (l *line) run(ctx context.Context) error {
	reloading, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	if l.env.file != "" {
		wait.Go(func() { l.reloader.run(reloading) })
	}
	err := l.server.Serve(ctx)
	stop()
	wait.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, l.close(closing))
}

// close ends what the line started, last first.
func (l *line) close(ctx context.Context) error {
	l.changing.Lock() // a promotion may be under way
	defer l.changing.Unlock()
	var errs []error
	if last := l.stages(); last != nil {
		errs = append(errs, last.close(ctx, &stages{}))
	}
	for _, closer := range slices.Backward(l.closers) {
		errs = append(errs, closer(ctx))
	}
	return errors.Join(errs...)
}
