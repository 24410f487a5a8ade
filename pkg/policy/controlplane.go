package policy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/hooks"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/bundle"
	"github.com/open-policy-agent/opa/v1/plugins/discovery"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

// stopPatience is how long the status plugin may take to send its last report.
const stopPatience = 2 * time.Second

// A controlPlane runs OPA's own plugins, which fetch bundles and configuration and report what
// they did. They write to a store of their own that no check reads: each of its transactions
// becomes an edition, before it is committed, and one that cannot is rolled back. So what the
// plugins report, persist and build deltas upon is what decides.
type controlPlane struct {
	manager   *plugins.Manager
	discovery *discovery.Discovery
	store     *gate
	bundles   bool // some are configured, or discovery may name some
	started   bool
	heard     atomic.Pointer[bundle.Plugin] // whose failures are counted
	stop      sync.Once                     // New and Close may both end it
}

// newControlPlane reads OPA's configuration, and starts nothing but the manager's own loop.
func newControlPlane(e *Engine) (*controlPlane, error) {
	config, err := expand(e.config.OPA)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("policy: opa: %w", err)
	}
	c := &controlPlane{bundles: hasBundles(e.config.OPA)}
	c.store = &gate{Store: inmem.New(), engine: e}
	demands := hooks.New(&demands{logger: e.config.Logger})
	c.manager, err = plugins.New(raw, instance(config), c.store,
		plugins.Logger(newLogger(e.config.Logger)),
		plugins.ConsoleLogger(&console{logger{e.config.Logger}}),
		plugins.WithHooks(demands),
		plugins.WithParserOptions(ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: e.capabilities}),
	)
	if err != nil {
		return nil, fmt.Errorf("policy: opa: %w", err)
	}
	c.discovery, err = discovery.New(c.manager, discovery.BootConfig(config), discovery.Hooks(demands), discovery.Metrics(metrics.New()))
	if err != nil {
		c.close()
		return nil, fmt.Errorf("policy: opa: %w", err)
	}
	return c, nil
}

// instance names this process to the control plane.
func instance(config map[string]any) string {
	labels, _ := config["labels"].(map[string]any) // without any, or where OPA says what is wrong
	if id, ok := labels["id"].(string); ok && id != "" {
		return id
	}
	return rand.Text()
}

// hasBundles tells whether OPA's configuration has policies to fetch.
func hasBundles(config map[string]any) bool {
	return config["bundles"] != nil || config["bundle"] != nil || config["discovery"] != nil
}

func (c *controlPlane) hasBundles() bool { return c != nil && c.bundles }

// start begins to fetch.
func (c *controlPlane) start(ctx context.Context) error {
	e := c.store.engine
	c.manager.RegisterCacheTrigger(func(config *cache.Config) {
		e.limits.sends.UpdateConfig(bounded(config))
		e.limits.values.UpdateConfig(bounded(config))
	})
	// Discovery comes last, as OPA's runtime has it: it starts the plugins that it finds.
	c.started = true
	c.manager.Register(discovery.Name, c.discovery)
	c.manager.RegisterPluginStatusListener("sallyport", func(status map[string]*plugins.Status) {
		if ready(status) {
			e.loading.Lock()
			defer e.loading.Unlock()
			e.complete = true
			e.publish(ctx)
		}
	})
	c.listen()
	err := c.manager.Start(ctx)
	if err == nil {
		err = c.adopt(ctx, e.current.Load())
	}
	if err != nil {
		return &ConfigError{Path: "opa", Err: fmt.Errorf("policy: opa: %w", err)}
	}
	return nil
}

// ready tells whether every bundle was activated once.
func ready(status map[string]*plugins.Status) bool {
	for _, name := range []string{discovery.Name, bundle.Name} {
		if s, ok := status[name]; ok && (s == nil || s.State != plugins.StateOK) {
			return false
		}
	}
	return true
}

func (c *controlPlane) notReady() error {
	if p := bundle.Lookup(c.manager); p != nil {
		if names := p.NotActivated(); len(names) > 0 {
			return fmt.Errorf("policy: no policy yet: waiting for the bundles %s", strings.Join(names, ", "))
		}
	}
	if d := c.manager.PluginStatus()[discovery.Name]; d == nil || d.State != plugins.StateOK {
		return errors.New("policy: no policy yet: waiting for discovery")
	}
	return errors.New("policy: no policy yet: the bundles have no Rego")
}

// close ends the plugins and waits for them.
func (c *controlPlane) close() {
	c.stop.Do(func() {
		c.store.closed.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
		defer cancel()
		if !c.started {
			cancel() // there is no report to send
			c.startLogs(ctx)
		}
		c.manager.Stop(ctx)
	})
}

// startLogs starts OPA's decision-log plugin where nothing else did: until it runs, its end would be
// waited for without end. It has nothing to send.
func (c *controlPlane) startLogs(ctx context.Context) {
	if plugin := logs.Lookup(c.manager); plugin != nil {
		_ = plugin.Start(ctx) // it never fails
	}
}

// A gate is the plugins' store. It commits a transaction when the engine can make a policy of it.
type gate struct {
	storage.Store
	engine  *Engine
	writing atomic.Uint64 // the transaction that writes: one at a time, beside readers
	closed  atomic.Bool   // what is committed now makes no policy any more
}

// NewTransaction notes which transaction writes.
func (g *gate) NewTransaction(ctx context.Context, params ...storage.TransactionParams) (storage.Transaction, error) {
	txn, err := g.Store.NewTransaction(ctx, params...)
	if err == nil && len(params) > 0 && params[0].Write {
		g.writing.Store(txn.ID())
	}
	return txn, err
}

// Commit makes the edition first. Where that fails the transaction is aborted, as [storage.Store]
// demands, and the bundle plugin takes the error for a failed activation.
func (g *gate) Commit(ctx context.Context, txn storage.Transaction) error {
	if g.writing.Load() != txn.ID() || g.closed.Load() {
		return g.Store.Commit(ctx, txn)
	}
	e := g.engine
	e.loading.Lock()
	defer e.loading.Unlock()
	if err := e.activate(ctx, g.Store, txn); err != nil {
		g.Abort(ctx, txn)
		return err
	}
	if err := g.Store.Commit(ctx, txn); err != nil {
		e.waiting = nil
		return err
	}
	e.publish(ctx)
	return nil
}
