package policy

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/cache"

	"github.com/sallyport/sallyport/pkg/authz"
)

// defaultEntrypoint is opa-envoy-plugin's.
const defaultEntrypoint = "envoy/authz/allow"

// An Engine decides by the policy of its current edition. It is an [authz.Decider].
type Engine struct {
	config       Config
	choices      []choice
	capabilities *ast.Capabilities
	limits       limits

	current atomic.Pointer[edition] // nil before the first policy

	loads    loads
	loading  sync.Mutex // held while a new edition is made and swapped in
	digests  []string   // of the files in the current edition
	waiting  *edition   // of files and bundles, to be published
	complete bool       // every bundle was there once

	counts counts // of the memo

	opa     *controlPlane // nil without policy.opa
	watcher *watcher      // nil without files
}

// New loads and compiles the policy, and keeps it up to date until Close. Its errors name file and
// line, or are a [ConfigError]. Where bundles come from a server, New does not wait for it: see
// [Engine.Ready].
func New(ctx context.Context, config Config) (*Engine, error) {
	e, err := open(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Validate finds what New would find wrong, and starts nothing.
func Validate(ctx context.Context, config Config) error {
	e, err := open(ctx, config)
	if err != nil {
		return err
	}
	return e.Close()
}

// open makes an engine of the configuration and the files, with nothing running.
func open(ctx context.Context, config Config) (*Engine, error) {
	if config.Entrypoint == "" {
		config.Entrypoint = defaultEntrypoint
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.MaxSteps <= 0 {
		config.MaxSteps = defaultMaxSteps
	}
	switch {
	case config.Print != nil || config.Coverage != nil:
		config.MemoBytes = -1 // a decision that is remembered prints and covers nothing
	case config.MemoBytes == 0:
		config.MemoBytes = defaultMemoBytes
	}
	if config.MaxBodyBytes <= 0 {
		config.MaxBodyBytes = 1 << 20
	}
	e := &Engine{config: config}
	var err error
	if e.choices, err = parseChoices(config); err != nil {
		return nil, err
	}
	if e.capabilities, err = config.Capabilities.OPA(); err != nil {
		return nil, err
	}
	if config.Offline {
		e.capabilities.AllowNet = []string{} // not nil, which is every host
	}
	if err := e.openOPA(ctx); err != nil {
		return nil, err
	}
	if err := e.load(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// openOPA prepares OPA's plugins and caches.
func (e *Engine) openOPA(ctx context.Context) error {
	caching, err := cache.ParseCachingConfig(nil)
	if err != nil {
		return err
	}
	if e.config.OPA != nil {
		if e.opa, err = newControlPlane(e); err != nil {
			return &ConfigError{Path: "opa", Err: err}
		}
		caching = e.opa.manager.InterQueryBuiltinCacheConfig()
	}
	// Without a context the caches start no goroutine. What is stale goes when room is needed.
	e.limits = limits{
		maxSteps:  e.config.MaxSteps,
		memoBytes: e.config.MemoBytes,
		logger:    e.config.Logger,
		sends:     cache.NewInterQueryCache(bounded(caching)),
		values:    cache.NewInterQueryValueCache(ctx, bounded(caching)),
		sheets:    &sync.Pool{New: func() any { return new(sheet) }},
		asides:    asides{newStore[uintptr, *aside](asidesBytes, new(atomic.Uint64))},
		counts:    &e.counts,
		observer:  observer{coverage: e.config.Coverage, print: e.config.Print},
		recording: e.config.Recording,
		logging:   LogsDecisions(e.config.OPA),
	}
	return nil
}

// start runs what keeps the policy up to date.
func (e *Engine) start(ctx context.Context) (err error) {
	if files := e.config.watched(); len(files) > 0 {
		if e.watcher, err = newWatcher(files, e.config.Logger, e.reload); err != nil {
			return err
		}
	}
	if e.opa != nil {
		return e.opa.start(ctx)
	}
	return nil
}

// Close ends what New started, and waits for it. Decide goes on with the last policy.
func (e *Engine) Close() error {
	var err error
	if e.watcher != nil {
		err = e.watcher.close()
	}
	if e.opa != nil {
		e.opa.close()
	}
	return err
}

// Ready says why there is no policy yet, nil where there is one. A policy never goes away again.
func (e *Engine) Ready() error {
	if e.current.Load() != nil {
		return nil
	}
	return e.opa.notReady()
}

// Revision names the policy that decides now: the revision of its bundles, or a hash of its
// sources and data; "" before the first policy.
func (e *Engine) Revision() string {
	if current := e.current.Load(); current != nil {
		return current.revision
	}
	return ""
}

// Decide asks the policy. The Decision returned beside an error carries the revision, the entrypoint
// and the basis alone.
func (e *Engine) Decide(ctx context.Context, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	return e.DecideAt(ctx, e.config.Now(), req, id)
}

// DecideAt asks the policy of now as Decide does, as of a time.
func (e *Engine) DecideAt(ctx context.Context, at time.Time, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	current := e.current.Load()
	if current == nil {
		return authz.Decision{}, refuse(authz.NotReady, "decide: there is no policy yet")
	}
	s, err := current.choose(req)
	if err != nil {
		return authz.Decision{Revision: current.revision}, err
	}
	decision, err := s.decide(ctx, at, req, id)
	if err != nil {
		return authz.Decision{Revision: current.revision, Entrypoint: s.name, Basis: decision.Basis}, err
	}
	decision.Revision, decision.Entrypoint = current.revision, s.name
	return decision, nil
}
