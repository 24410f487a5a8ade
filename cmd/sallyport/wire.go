package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/server"
	"github.com/sallyport/sallyport/pkg/telemetry"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/policies"
)

// keysPatience is how long a start waits for the issuers' keys. An issuer that is down must not
// keep the others' users out, so the server then starts without its keys.
const keysPatience = 2 * time.Second

// A line is everything that stands between Envoy's question and its answer.
type line struct {
	server   *server.Server
	service  *envoy.Switch
	current  atomic.Pointer[stages]
	env      environment
	watching watching
	reloader *reloader // nil: the configuration stays as it is
	closers  []func(context.Context) error
}

// An environment is what a line shares with the process it runs in.
type environment struct {
	stdout    io.Writer
	logger    *slog.Logger
	recorders authz.Recorders // beside those of the configuration
	traced    bool            // make spans even where nothing exports them

	file    string           // of the configuration, to reload; "": it stays as it is
	hangups <-chan os.Signal // each reloads the file at once
}

// watching is what telemetry adds to a line.
type watching struct {
	recorders authz.Recorders
	options   []grpc.ServerOption
}

// build makes the line that a configuration describes, and binds its listeners.
func build(ctx context.Context, cfg *config.Config, env environment) (*line, error) {
	l := &line{env: env}
	if env.file != "" {
		l.reloader = &reloader{line: l, file: env.file, signals: env.hangups}
	}
	if err := l.build(ctx, cfg); err != nil {
		return nil, errors.Join(err, l.close(ctx))
	}
	return l, nil
}

func (l *line) build(ctx context.Context, cfg *config.Config) (err error) {
	if l.watching, err = l.watch(ctx); err != nil {
		return err
	}
	first, err := l.newStages(ctx, cfg, nil)
	if err != nil {
		return err
	}
	l.current.Store(first)
	l.service = envoy.NewSwitch(first.service)
	warnOpen(cfg, l.env.logger)
	awaitKeys(ctx, first.verifier, l.env.logger)
	listening, err := l.serverConfig(cfg)
	if err != nil {
		return err
	}
	l.server, err = server.New(ctx, listening)
	return err
}

// stages are those that decide now.
func (l *line) stages() *stages { return l.current.Load() }

func (l *line) serverConfig(cfg *config.Config) (server.Config, error) {
	socket, err := listenSocket(cfg)
	return server.Config{
		GRPC:       server.Address(cfg.Listen.GRPC),
		Admin:      server.Address(cfg.Listen.Admin),
		TLS:        (*server.TLS)(cfg.Listen.TLS),
		AdminTLS:   (*server.TLS)(cfg.Listen.AdminTLS),
		Socket:     socket,
		Register:   l.service.Register,
		Services:   []string{envoy.ServiceName},
		Options:    append(l.stages().service.Options(), l.watching.options...),
		Reflection: cfg.Listen.Reflection,
		Ready:      func() error { return l.stages().ready() },
		Trouble:    l.troubles,
		Limits: server.Limits{
			Connections: int(cfg.Limits.Connections), Streams: uint32(cfg.Limits.Streams), //nolint:gosec // at most 1e9
			HeaderBytes: uint32(cfg.Limits.HeaderBytes), ConnectionAge: cfg.Limits.ConnectionAge, //nolint:gosec // at most 1 GiB
		},
		Load:       load(cfg),
		DrainDelay: cfg.Listen.Drain.Delay, DrainTimeout: cfg.Listen.Drain.Timeout,
		Logger: l.env.logger,
	}, err
}

func load(cfg *config.Config) server.Load {
	return server.Load{Checks: int(cfg.Limits.Checks), Wait: cfg.Limits.Wait}
}

// troubles are what an operator should know though checks are decided.
func (l *line) troubles() error {
	err := l.stages().trouble()
	if l.reloader != nil {
		err = errors.Join(err, l.reloader.trouble())
	}
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

// watch makes what traces the checks. Where nobody asked for traces, nothing of them is on the way.
func (l *line) watch(ctx context.Context) (watching, error) {
	if !l.env.traced && !telemetry.Enabled() {
		return watching{}, nil
	}
	t, err := telemetry.New(ctx, version())
	if err != nil {
		return watching{}, err
	}
	l.closers = append(l.closers, t.Shutdown)
	return watching{recorders: authz.Recorders{telemetry.Recorder{}}, options: []grpc.ServerOption{t.ServerOption()}}, nil
}

// run serves until ctx ends, and closes the line.
func (l *line) run(ctx context.Context) error {
	reloading, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	if l.reloader != nil {
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
	var errs []error
	if last := l.stages(); last != nil {
		errs = append(errs, last.close(ctx, &stages{}))
	}
	for _, closer := range slices.Backward(l.closers) {
		errs = append(errs, closer(ctx))
	}
	return errors.Join(errs...)
}

// newVerifier makes the first door.
func newVerifier(ctx context.Context, cfg *config.Config, engine *policy.Engine, logger *slog.Logger) (*token.Verifier, error) {
	verifier, err := token.New(ctx, tokenConfig(ctx, cfg, engine, logger))
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

// listenSocket finds the numbers of the user and the group who own the sockets.
func listenSocket(cfg *config.Config) (server.Socket, error) {
	from := cfg.Listen.Socket
	mode, err := strconv.ParseUint(from.Mode, 8, 32)
	if err != nil {
		return server.Socket{}, config.Mistakes{cfg.At("listen.socket.mode", err)}
	}
	out := server.Socket{Mode: fs.FileMode(mode)}
	if out.UID, err = number(from.Owner, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	}); err != nil {
		return out, config.Mistakes{cfg.At("listen.socket.owner", err)}
	}
	if out.GID, err = number(from.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	}); err != nil {
		return out, config.Mistakes{cfg.At("listen.socket.group", err)}
	}
	return out, nil
}

// number is that of an account, which may be given by name; nil for none.
func number(account string, lookup func(name string) (string, error)) (*int, error) {
	if account == "" {
		return nil, nil //nolint:nilnil // no account has no number
	}
	if n, err := strconv.Atoi(account); err == nil {
		return &n, nil
	}
	id, err := lookup(account)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(id)
	return &n, err
}
