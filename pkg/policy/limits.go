package policy

import (
	"context"
	"log/slog"
	"sync"

	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

// defaultMaxSteps is about a second of evaluation, and ten times what a policy needs that looks at
// each of 10,000 entries with ten expressions.
const defaultMaxSteps = 1_000_000

// limits are what evaluations share, whatever the policy: the bound on each, OPA's caches and
// ours, and who looks on.
type limits struct {
	maxSteps  int64
	observer  observer
	sends     cache.InterQueryCache      // of http.send
	values    cache.InterQueryValueCache // of regular expressions, globs, and what caching names
	sheets    *sync.Pool                 // of *sheet
	asides    asides
	counts    *counts
	memoBytes int
	logger    *slog.Logger
	recording *Recording // nil: nobody records
	logging   bool       // OPA's plugin may log decisions
}

// sheet is one to write on; done takes it back.
func (l *limits) sheet() *sheet {
	if s, ok := l.sheets.Get().(*sheet); ok {
		return s
	}
	return &sheet{}
}

func (l *limits) done(s *sheet) {
	s.reset()
	l.sheets.Put(s)
}

// A meter ends an evaluation whose context has ended or that takes too many steps. OPA asks it before
// every expression, and within builtins that take long; each question counts as a step.
type meter struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the call that has it
	left int64
	late bool
}

// askEvery is how many steps pass between two looks at the context. Under gRPC one takes about as long
// as a tenth of a step. It is cheaper than to be told by the context, which takes 0.7 µs and three
// allocations however short the evaluation is.
const askEvery = 8

// Cancel implements [topdown.Cancel]. Nobody calls it.
func (m *meter) Cancel() { m.late = true }

// Cancelled implements [topdown.Cancel].
func (m *meter) Cancelled() bool {
	m.left--
	if m.left%askEvery == 0 && m.ctx.Err() != nil {
		m.late = true
	}
	return m.left < 0 || m.late
}

// spent tells whether the steps ended the evaluation.
func (m *meter) spent() bool { return m.left < 0 }

// What the memo holds at most where the configuration does not say, and the claims of tokens that
// are kept as Rego has them (see [asides]). With the collector's share, which is as much again, and the first door's 32 MiB
// this leaves a process that was filled with a million tokens and paths below 200 MiB.
const (
	defaultMemoBytes = 32 << 20
	asidesBytes      = 8 << 20
)

// What the caches hold at most where the configuration does not say. OPA's own default is no
// limit, which lets a caller fill the memory through a cache whose key is the caller's.
const (
	maxCachedBytes  = 64 << 20
	maxCachedValues = 10_000
)

// bounded gives every cache without a limit ours.
func bounded(config *cache.Config) *cache.Config {
	config = config.Clone()
	if b := &config.InterQueryBuiltinCache; b.MaxSizeBytes == nil || *b.MaxSizeBytes <= 0 {
		b.MaxSizeBytes = new(int64(maxCachedBytes))
	}
	if v := &config.InterQueryBuiltinValueCache; v.MaxNumEntries == nil || *v.MaxNumEntries <= 0 {
		v.MaxNumEntries = new(maxCachedValues)
	}
	for _, named := range config.InterQueryBuiltinValueCache.NamedCacheConfigs {
		if named.MaxNumEntries != nil && *named.MaxNumEntries <= 0 {
			named.MaxNumEntries = new(maxCachedValues)
		}
	}
	return config
}
