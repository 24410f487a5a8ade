package main

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/envoy"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/token"
)

// stages are what decides about a check: all that a new configuration replaces without a restart.
// They are made as a whole and never changed; a part whose settings are the same is the one of the
// stages before, with its caches.
type stages struct {
	cfg       *config.Config
	engine    *policy.Engine // the policy of the file
	candidate *candidate     // nil: none
	decider   *policy.Engine // what decides: engine, or the candidate's once that is promoted
	verifier  *token.Verifier
	log       *decisionLog
	service   *envoy.Server
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
	if s.engine = before.engine; s.engine == nil || !reflect.DeepEqual(evaluating(cfg), evaluating(before.cfg)) {
		configured := policyConfig(cfg, l.logger)
		configured.Recording = recording(cfg)
		if s.engine, err = policy.New(ctx, configured); err != nil {
			return nil, placed(cfg, err)
		}
	}
	if s.candidate, s.decider = before.candidate, before.decider; !reflect.DeepEqual(trying(cfg), trying(before.cfg)) {
		s.candidate, s.decider = l.newCandidate(cfg, s.engine), s.engine
	}
	listed := cfg.JWT.Revocation.Data != "" && s.engine != before.engine // the list comes from the policy
	if s.verifier = before.verifier; s.verifier == nil || listed || !reflect.DeepEqual(verifying(cfg.JWT), verifying(before.cfg.JWT)) {
		if s.verifier, err = newVerifier(ctx, cfg, s.engine, l.logger, observer(l.watched)); err != nil {
			return nil, err
		}
	}
	uploaded := policy.LogsDecisions(cfg.Policy.OPA) && s.engine != before.engine // records go to the policy's plugin
	if s.log = before.log; s.log == nil || uploaded || !reflect.DeepEqual(logging(cfg), logging(before.cfg)) {
		if s.log, err = l.newDecisionLog(cfg, s.engine); err != nil {
			return nil, err
		}
	}
	s.service = l.newService(s)
	return s, nil
}

// evaluating are the settings that the second door is made of.
func evaluating(cfg *config.Config) any {
	decides := cfg.Policy
	decides.Candidate = nil
	return struct {
		policy    config.Policy
		recording *policy.Recording
		body      config.Size
	}{decides, recording(cfg), cfg.Request.MaxBodyBytes}
}

// verifying are the settings that the first door is made of.
func verifying(jwt config.JWT) config.JWT {
	jwt.Realm, jwt.ResourceMetadata = "", ""
	return jwt
}

// logging are the settings that the decision log is made of.
func logging(cfg *config.Config) any {
	return struct {
		log      config.DecisionLog
		uploaded bool
	}{cfg.DecisionLog, policy.LogsDecisions(cfg.Policy.OPA)}
}

// newService makes what asks the stages, each with those who watch it.
func (l *line) newService(s *stages) *envoy.Server {
	// Who counts comes after all that may fail, and counts the answer that is given where another cannot
	// record it.
	recorders := slices.Concat(s.log.recorders(), l.env.recorders, inspectors(l.inspection), l.watched.Recorders(), s.candidate.recorders())
	return &envoy.Server{
		Checker:      newChecker(s.cfg, l.watched.Verifier(s.verifier), l.watched.Decider(s.decider), recorders),
		MaxBodyBytes: int(s.cfg.Request.MaxBodyBytes),
		Timeout:      s.cfg.Request.Timeout,
	}
}

// ready says why nothing can be decided, and trouble what else is wrong.
func (s *stages) ready() error { return errors.Join(s.decider.Ready(), s.verifier.Blind()) }
func (s *stages) trouble() error {
	return errors.Join(s.verifier.Trouble(), s.engine.Trouble(), s.log.trouble(), s.candidate.trouble())
}

// close ends the parts that are not those of kept as well.
func (s *stages) close(ctx context.Context, kept *stages) error {
	var errs []error
	if s.candidate != kept.candidate {
		errs = append(errs, s.candidate.close(ctx))
	}
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
