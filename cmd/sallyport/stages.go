package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	"github.com/sallyport/sallyport/pkg/envoy"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/token"
)

// stages are what decides about a check: all that a new configuration replaces without a restart.
// They are made as a whole and never changed; a part whose settings are the same is the one of the
// stages before, with its caches.
type stages struct {
	cfg      *config.Config
	engine   *policy.Engine
	verifier *token.Verifier
	log      *recording
	service  *envoy.Server
}

// newStages makes those of a configuration, with the parts of before (nil: none) that are the same.
func (l *line) newStages(ctx context.Context, cfg *config.Config, before *stages) (_ *stages, err error) {
	if before == nil {
		before = &stages{cfg: &config.Config{}}
	}
	s := &stages{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx, before))
		}
	}()
	ctx = context.WithoutCancel(ctx) // close ends them, after the last check
	if s.engine = before.engine; s.engine == nil || !reflect.DeepEqual(cfg.Policy, before.cfg.Policy) {
		if s.engine, err = policy.New(ctx, policyConfig(cfg, l.env.logger)); err != nil {
			return nil, placed(cfg, err)
		}
	}
	listed := cfg.JWT.Revocation.Data != "" && s.engine != before.engine // the list comes from the policy
	if s.verifier = before.verifier; s.verifier == nil || listed || !reflect.DeepEqual(verifying(cfg.JWT), verifying(before.cfg.JWT)) {
		if s.verifier, err = newVerifier(ctx, cfg, s.engine, l.env.logger); err != nil {
			return nil, err
		}
	}
	if s.log = before.log; s.log == nil || cfg.DecisionLog != before.cfg.DecisionLog {
		if s.log, err = newRecording(cfg, l.env); err != nil {
			return nil, err
		}
	}
	recorders := slices.Concat(s.log.recorders, l.env.recorders, l.watching.recorders)
	s.service = newService(cfg, newChecker(cfg, s.verifier, s.engine, recorders))
	return s, nil
}

// verifying are the settings that the first door is made of.
func verifying(jwt config.JWT) config.JWT {
	jwt.Realm, jwt.ResourceMetadata = "", ""
	return jwt
}

func newService(cfg *config.Config, checker *authz.Checker) *envoy.Server {
	return &envoy.Server{Checker: checker, MaxBodyBytes: int(cfg.Request.MaxBodyBytes), Timeout: cfg.Request.Timeout}
}

// ready says why nothing can be decided, and trouble what else is wrong.
func (s *stages) ready() error   { return errors.Join(s.engine.Ready(), s.verifier.Blind()) }
func (s *stages) trouble() error { return s.verifier.Ready() }

// close ends the parts that are not those of kept as well.
func (s *stages) close(ctx context.Context, kept *stages) error {
	var errs []error
	if s.log != nil && s.log != kept.log {
		errs = append(errs, s.log.close(ctx))
	}
	if s.verifier != nil && s.verifier != kept.verifier {
		errs = append(errs, s.verifier.Close())
	}
	if s.engine != nil && s.engine != kept.engine {
		errs = append(errs, s.engine.Close())
	}
	return errors.Join(errs...)
}

// A recording is the decision log of a configuration, with its file.
type recording struct {
	recorders authz.Recorders
	closers   []func() error
}

func newRecording(cfg *config.Config, env environment) (*recording, error) {
	r := &recording{}
	var sinks []io.Writer
	if cfg.DecisionLog.Stdout {
		sinks = append(sinks, env.stdout)
	}
	if name := cfg.DecisionLog.File; name != "" {
		file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("decisionLog.file: %w", err)
		}
		r.closers = append(r.closers, file.Close)
		sinks = append(sinks, file)
	}
	if len(sinks) > 0 {
		log := decisionlog.New(env.logger, sinks...)
		r.closers = append(r.closers, log.Close)
		r.recorders = authz.Recorders{log}
	}
	return r, nil
}

// close ends what the recording started, last first.
func (r *recording) close(context.Context) error {
	var errs []error
	for _, closer := range slices.Backward(r.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// warnOpen says at every start what the configuration lets strangers do.
func warnOpen(cfg *config.Config, logger *slog.Logger) {
	listen := cfg.Listen
	if !listen.GRPC.Local() && (listen.TLS == nil || listen.TLS.ClientCAFile == "") {
		logger.Warn("listen.insecure: whoever reaches the gRPC listener may ask, without a certificate", "address", listen.GRPC.String())
	}
	if !listen.Admin.Local() && (listen.AdminTLS == nil || listen.AdminTLS.ClientCAFile == "") {
		logger.Warn("listen.insecureAdmin: whoever reaches the admin listener may look, without a certificate", "address", listen.Admin.String())
	}
}
