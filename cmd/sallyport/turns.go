package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/telemetry"
	"github.com/sallyport/sallyport/pkg/token"
)

// turns are which stages decide, one after the other, and what those counted whose turn is over: no
// count goes back when others begin.
type turns struct {
	mu      sync.Mutex
	now     *stages // nil: none began
	leaving *stages // that still answer checks; nil: none
	past    totals
}

// totals are what parts of stages counted since they were made.
type totals struct {
	tokens  telemetry.Cache
	keys    map[string]telemetry.Keys // by issuer
	policy  telemetry.Policy
	memo    telemetry.Cache
	dropped uint64
}

func (t *turns) current() *stages {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

// begin lets others decide. Those before them count until end.
func (t *turns) begin(next *stages) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.leaving = next, t.now
}

// end says that the stages before are closed.
func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.past.add(t.leaving, t.now)
	t.leaving = nil
}

// totals are what all stages counted so far. What is there now, such as entries of a cache, is that
// of the stages that decide now.
func (t *turns) totals() totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := totals{tokens: t.past.tokens, policy: t.past.policy, memo: t.past.memo, dropped: t.past.dropped}
	for _, keys := range t.past.keys {
		sum.count(keys)
	}
	sum.add(t.leaving, t.now)
	sum.add(t.now, &stages{})
	if t.now == nil {
		return sum
	}
	stats, memo := t.now.verifier.Stats(), t.now.decider.Stats()
	sum.tokens.Entries, sum.tokens.Bytes = stats.Cache.Entries, stats.Cache.Bytes
	sum.memo.Entries, sum.memo.Bytes = memo.Entries, memo.Bytes
	sum.policy.Revision = t.now.decider.Revision()
	maps.DeleteFunc(sum.keys, func(issuer string, _ telemetry.Keys) bool { // that no rule names any more
		return !slices.ContainsFunc(stats.Keys, func(k token.KeyStats) bool { return k.Issuer == issuer })
	})
	return sum
}

// add counts the parts of stages that are not those of others as well.
func (t *totals) add(s, others *stages) {
	if s == nil {
		return
	}
	if s.verifier != others.verifier {
		stats := s.verifier.Stats()
		raise(&t.tokens, stats.Cache.Hits, stats.Cache.Misses, stats.Cache.Evictions)
		for _, keys := range stats.Keys {
			t.count(telemetry.Keys(keys))
		}
	}
	if s.engine != others.engine {
		t.engine(s.engine)
	}
	if s.decider != s.engine && s.decider != others.decider { // the candidate's, once promoted, from its beginning
		t.engine(s.decider)
	}
	if s.log != others.log && s.log.log != nil {
		t.dropped += s.log.log.Dropped()
	}
}

func (t *totals) engine(e *policy.Engine) {
	loads, memo := e.Loads(), e.Stats()
	t.policy.Loaded, t.policy.Refused = t.policy.Loaded+loads.Loaded, t.policy.Refused+loads.Refused
	raise(&t.memo, memo.Hits, memo.Misses, memo.Evictions)
}

func raise(cache *telemetry.Cache, hits, misses, evictions uint64) {
	cache.Hits, cache.Misses, cache.Evictions = cache.Hits+hits, cache.Misses+misses, cache.Evictions+evictions
}

// count adds the fetches of an issuer's keys; the rest is that of the last stages counted.
func (t *totals) count(keys telemetry.Keys) {
	if t.keys == nil {
		t.keys = make(map[string]telemetry.Keys)
	}
	had := t.keys[keys.Issuer]
	keys.Fetched, keys.Failed = had.Fetched+keys.Fetched, had.Failed+keys.Failed
	t.keys[keys.Issuer] = keys
}

// sources are what the stages and the server count themselves.
func (l *line) sources() telemetry.Sources {
	return telemetry.Sources{
		Shed:        l.server.Shed,
		TokenCache:  func() telemetry.Cache { return l.turns.totals().tokens },
		Keys:        func() []telemetry.Keys { return slices.Collect(maps.Values(l.turns.totals().keys)) },
		Policy:      func() telemetry.Policy { return l.turns.totals().policy },
		PolicyCache: func() telemetry.Cache { return l.turns.totals().memo },
		Dropped:     func() uint64 { return l.turns.totals().dropped },
		Config:      l.reloader.counts,
		Candidate:   l.trialState,
	}
}

// trialState is what becomes of the candidate.
func (l *line) trialState() telemetry.Candidate {
	c := l.stages().candidate
	state, _ := c.state() // what is wrong, the log and /readyz say
	return telemetry.Candidate{State: state, Revision: c.revision()}
}
