package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/server"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/policies"
)

// keysPatience is how long a start waits for the issuers' keys. An issuer that is down must not
// keep the others' users out, so the server then starts without its keys.
const keysPatience = 2 * time.Second

// A line is everything that stands between Envoy's question and its answer.
type line struct {
	server  *server.Server
	logger  *slog.Logger
	closers []func(context.Context) error
}

// An environment is what a line shares with the process it runs in.
type environment struct {
	stdout    io.Writer
	logger    *slog.Logger
	recorders authz.Recorders // beside those of the configuration
	traced    bool            // make spans even where nothing exports them
}

// build makes the line that a configuration describes, and binds its listeners.
func build(ctx context.Context, cfg *config.Config, env environment) (*line, error) {
	l := &line{}
	if err := l.build(ctx, cfg, env); err != nil {
		return nil, errors.Join(err, l.close(ctx))
	}
	return l, nil
}

func (l *line) build(ctx context.Context, cfg *config.Config, env environment) error {
	t, err := l.watch(ctx, cfg, env)
	if err != nil {
		return err
	}
	l.logger = slog.New(t.LogHandler(env.logger.Handler()))
	configured := policyConfig(cfg, l.logger)
	configured.Recording = recording(cfg)
	engine, err := policy.New(ctx, configured)
	if err != nil {
		return placed(cfg, err)
	}
	l.closers = append(l.closers, func(context.Context) error { return engine.Close() })
	verifier, err := newVerifier(ctx, cfg, engine, l.logger, observer(t))
	if err != nil {
		return err
	}
	l.closers = append(l.closers, func(context.Context) error { return verifier.Close() })
	log, err := l.decisionLog(cfg, env, t, engine)
	if err != nil {
		return err
	}
	if err := t.Watch(sources(engine, verifier, log)); err != nil {
		return err
	}
	service := &envoy.Server{
		Checker:      newChecker(cfg, t.Verifier(verifier), t.Decider(engine), recorders(log, env, t)),
		MaxBodyBytes: int(cfg.Request.MaxBodyBytes),
		Timeout:      cfg.Request.Timeout,
	}
	awaitKeys(ctx, verifier, l.logger)
	l.server, err = server.New(ctx, server.Config{
		GRPC:     server.Address(cfg.Listen.GRPC),
		Admin:    server.Address(cfg.Listen.Admin),
		TLS:      listenTLS(cfg.Listen.TLS),
		Register: service.Register,
		Services: []string{envoy.ServiceName},
		Options:  append(service.Options(), t.Options()...),
		Ready:    func() error { return errors.Join(engine.Ready(), verifier.Ready()) },
		Metrics:  t.Metrics(),
	})
	return err
}

// newChecker makes the line of a configuration from its parts.
func newChecker(cfg *config.Config, verifier authz.Verifier, decider authz.Decider, recorder authz.Recorder) *authz.Checker {
	return &authz.Checker{
		Verifier: verifier, Decider: decider, Recorder: recorder,
		FlagAmbiguousPaths: cfg.Request.AmbiguousPaths == config.FlagAmbiguousPaths,
		Challenge:          authz.Challenge{Realm: cfg.JWT.Realm, ResourceMetadata: cfg.JWT.ResourceMetadata},
	}
}

// run serves until ctx ends, and closes the line.
func (l *line) run(ctx context.Context) error {
	err := l.server.Serve(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, l.close(closing))
}

// close ends what the line started, last first.
func (l *line) close(ctx context.Context) error {
	var errs []error
	for _, closer := range slices.Backward(l.closers) {
		errs = append(errs, closer(ctx))
	}
	return errors.Join(errs...)
}

// newVerifier makes the first door.
func newVerifier(ctx context.Context, cfg *config.Config, engine *policy.Engine, logger *slog.Logger, watch token.Observer) (*token.Verifier, error) {
	configured := tokenConfig(ctx, cfg, engine, logger)
	configured.Observer = watch
	verifier, err := token.New(ctx, configured)
	if err != nil {
		return nil, tokenMistakes(cfg, err)
	}
	return verifier, nil
}

// tokenConfig is the first door's part. Without an engine nobody asks the policy's data for revocations.
func tokenConfig(ctx context.Context, cfg *config.Config, engine *policy.Engine, logger *slog.Logger) token.Config {
	leeway := cfg.JWT.Leeway
	if leeway == 0 {
		leeway = -1 // in token.Config, 0 is the default
	}
	cache := int(cfg.JWT.Cache.MaxBytes)
	if cache == 0 {
		cache = -1 // likewise
	}
	out := token.Config{
		Leeway: leeway, CacheBytes: cache, Logger: logger,
		Revocation: token.Revocation{File: cfg.JWT.Revocation.File, MaxAge: cfg.JWT.Revocation.MaxAge},
	}
	if path := cfg.JWT.Revocation.Data; path != "" && engine != nil {
		out.Revocation.Data = revocationData(ctx, engine, path)
	}
	for _, r := range cfg.JWT.Rules {
		out.Rules = append(out.Rules, tokenRule(r))
	}
	return out
}

// revocationData reads a list of revoked tokens from the policy's data.
func revocationData(ctx context.Context, engine *policy.Engine, path string) func(last any) (list, version any, err error) {
	return func(last any) (list, version any, err error) {
		list, version, err = engine.Document(ctx, path, last)
		if err == nil && version == nil {
			err = token.ErrNoListYet
		}
		return list, version, err
	}
}

// tokenMistakes places the mistakes that pkg/token found in the file.
func tokenMistakes(cfg *config.Config, err error) error {
	joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok {
		return err
	}
	var mistakes config.Mistakes
	for _, err := range joined.Unwrap() {
		if m, ok := errors.AsType[*token.Mistake](err); ok {
			mistakes = append(mistakes, cfg.At("jwt."+m.Path, m.Err))
		}
	}
	return mistakes
}

func tokenRule(r config.Rule) token.Rule {
	out := token.Rule{
		Name: r.Name, Issuer: r.Issuer, TrustDomain: r.TrustDomain, Required: r.Required, MaxLifetime: r.MaxLifetime,
		Audiences: r.Audiences, Algorithms: r.Algorithms, Types: r.Types,
		JWKS: r.JWKS, JWKSFile: r.JWKSFile, JWKSURI: r.JWKSURI, AllowInsecureHTTP: r.AllowInsecureHTTP,
		FromCookies: r.FromCookies, FromParams: r.FromParams, ForwardOriginalToken: r.ForwardOriginalToken,
		OutputPayloadToHeader: r.OutputPayloadToHeader, SpaceDelimitedClaims: r.SpaceDelimitedClaims, Timeout: r.Timeout,
	}
	for _, h := range r.FromHeaders {
		out.FromHeaders = append(out.FromHeaders, token.HeaderSource(h))
	}
	for _, c := range r.OutputClaimToHeaders {
		out.OutputClaimToHeaders = append(out.OutputClaimToHeaders, token.ClaimHeader(c))
	}
	return out
}

func policyConfig(cfg *config.Config, logger *slog.Logger) policy.Config {
	p := cfg.Policy
	memo := int(p.Memo.MaxBytes)
	if memo == 0 {
		memo = -1 // in policy.Config, 0 is the default
	}
	out := policy.Config{
		Entrypoint: p.Path, Files: p.Files, Default: policies.FS, Data: p.Data, OutputHeaders: p.OutputHeaders,
		Capabilities: policy.Capabilities(p.Capabilities), MaxSteps: int64(p.MaxSteps), MemoBytes: memo, OPA: p.OPA, Logger: logger,
		Library:         policies.Library,
		ProtoDescriptor: p.ProtoDescriptor, MaxBodyBytes: int64(cfg.Request.MaxBodyBytes), SkipRequestBodyParse: p.SkipRequestBodyParse,
	}
	for _, e := range p.Entrypoints {
		out.Entrypoints = append(out.Entrypoints, policy.Entrypoint{
			Host: e.Host, ContextExtensions: e.ContextExtension, Network: e.Network, Path: e.Path, OutputHeaders: e.OutputHeaders,
		})
	}
	return out
}

// policyMistake places an error of the policy in the file.
func policyMistake(cfg *config.Config, err error) config.Mistake {
	if of, ok := errors.AsType[*policy.ConfigError](err); ok {
		return cfg.At("policy."+of.Path, of)
	}
	return cfg.At("policy", errors.New(strings.TrimPrefix(err.Error(), "policy: ")))
}

// placed is a mistake of a setting with its place; what is wrong in the policy itself names its own.
func placed(cfg *config.Config, err error) error {
	if _, ok := errors.AsType[*policy.ConfigError](err); ok {
		return config.Mistakes{policyMistake(cfg, err)}
	}
	return err
}

func awaitKeys(ctx context.Context, verifier *token.Verifier, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, keysPatience)
	defer cancel()
	if err := verifier.AwaitReady(ctx); err != nil {
		logger.Warn("started without the keys of an issuer: its tokens are refused until they are there", "error", err)
	}
}

func listenTLS(t *config.TLS) *server.TLS {
	if t == nil {
		return nil
	}
	return (*server.TLS)(t)
}
