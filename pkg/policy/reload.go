package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/storage"
)

// load reads and compiles the files at the start. Where bundles come from OPA's plugins, that
// only shows what is wrong with the files; the policy begins with the bundles.
func (e *Engine) load(ctx context.Context) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	if e.opa.hasBundles() && len(e.config.watched()) == 0 && len(e.config.Data) == 0 {
		return nil
	}
	src, err := readSource(e.config, e.capabilities)
	if err != nil {
		return err
	}
	if e.opa.hasBundles() {
		return nil // alone, the files may lack what the bundles define
	}
	if err := src.hasRego(); err != nil {
		return err
	}
	made, missing, err := newEdition(ctx, src, e.choices, e.limits)
	if e.config.Offline {
		missing = nil
	}
	if err := errors.Join(missing, err); err != nil {
		return err
	}
	e.digests = src.digests()
	e.swap(ctx, made)
	return nil
}

// reload reads the files again, beside the bundles that are active. What cannot be loaded is
// refused: the old policy stays.
func (e *Engine) reload(ctx context.Context) (err error) {
	defer func() {
		failure := ""
		if err != nil {
			failure = err.Error()
		}
		e.loads.tell("the files", failure)
	}()
	e.loading.Lock()
	defer e.loading.Unlock()
	src, err := readSource(e.config, e.capabilities)
	if err != nil {
		return err
	}
	digests := src.digests()
	if slices.Equal(digests, e.digests) {
		return nil
	}
	if e.opa.hasBundles() {
		err = storage.Txn(ctx, e.opa.store, storage.TransactionParams{}, func(txn storage.Transaction) error {
			return e.combine(ctx, src, e.opa.store, txn)
		})
		if err == nil {
			e.publish(ctx)
		}
	} else {
		err = e.replace(ctx, src)
	}
	if err == nil {
		e.digests = digests
	}
	return err
}

// replace makes the files the policy. An entrypoint that they no longer have is refused.
func (e *Engine) replace(ctx context.Context, src *source) error {
	if err := src.hasRego(); err != nil {
		return err
	}
	made, missing, err := newEdition(ctx, src, e.choices, e.limits)
	if err := errors.Join(missing, err); err != nil {
		return err
	}
	e.swap(ctx, made)
	return nil
}

// activate makes the policy that a transaction of OPA's store would leave behind. OPA's plugins
// commit only where it can be made; then swap it in with publish. Loading is held.
func (e *Engine) activate(ctx context.Context, store storage.Store, txn storage.Transaction) error {
	src, err := readSource(e.config, e.capabilities)
	if err != nil {
		return err
	}
	digests := src.digests()
	if err := e.combine(ctx, src, store, txn); err != nil {
		return err
	}
	e.digests = digests
	return nil
}

// combine makes an edition of the files and of what a store holds, and lets it wait. A missing
// entrypoint denies when it is asked; it may come with the next bundle.
func (e *Engine) combine(ctx context.Context, src *source, store storage.Store, txn storage.Transaction) error {
	if err := src.addStore(ctx, store, txn); err != nil {
		return fmt.Errorf("policy: load the bundles: %w", err)
	}
	made, _, err := newEdition(ctx, src, e.choices, e.limits)
	if err != nil {
		return err
	}
	e.waiting = made
	return nil
}

// publish swaps in what waits, once every bundle was there. The first policy has at least one rule.
func (e *Engine) publish(ctx context.Context) {
	first := e.current.Load() == nil
	if e.waiting == nil || !e.complete || first && e.waiting.modules == 0 {
		return
	}
	e.swap(ctx, e.waiting)
	e.waiting = nil
}

func (e *Engine) swap(ctx context.Context, made *edition) {
	e.current.Store(made)
	if err := e.opa.adopt(ctx, made); err != nil {
		e.config.Logger.ErrorContext(ctx, "the rules that mask and drop decision logs are not those of this policy", "error", err)
	}
	e.loads.loaded.Add(1)
	log := e.config.Logger
	log.InfoContext(ctx, "policy loaded", "revision", made.revision, "modules", made.modules)
	for i, s := range made.snapshots {
		entrypoint := made.choices[i].ref.String()
		switch {
		case s == nil:
			log.WarnContext(ctx, "policy without an entrypoint: its checks are denied", "entrypoint", entrypoint)
		case s.constants.timedOut:
			log.WarnContext(ctx, "rules that depend on data alone take long, and are evaluated by each check",
				"entrypoint", entrypoint, "limit", constantBudget)
		}
	}
}

// digests are of all files and data; they tell one state from another.
func (s *source) digests() []string {
	return slices.Sorted(slices.Values(slices.Concat(s.loose, s.archives)))
}

func (s *source) hasRego() error {
	if len(s.modules) == 0 {
		return errors.New("policy: load: there is no Rego in the files")
	}
	return nil
}
