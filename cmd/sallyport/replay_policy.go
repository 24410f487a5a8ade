package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// replayed are the policies of a replay.
type replayed struct {
	candidate replay.Decider
	recorded  map[string]replay.Decider
	engines   []*policy.Engine
}

func (r *replayed) close() {
	for _, e := range r.engines {
		_ = e.Close() // it decides nothing any more
	}
}

// loadReplayed loads the candidate, and the policies that made the records.
func loadReplayed(ctx context.Context, candidate string, recorded []string) (_ *replayed, err error) {
	r := &replayed{recorded: map[string]replay.Decider{}}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	var known []*policy.Engine
	var around *policy.Config // that a directory or a bundle is put into
	for _, path := range recorded {
		given, err := policyAt(path, nil)
		if err != nil {
			return nil, err
		}
		engine, err := r.load(ctx, given)
		if err != nil {
			return nil, fmt.Errorf("--recorded %s: %w", path, err)
		}
		if isConfig(path) {
			around = &given.Config
		}
		known = append(known, engine)
	}
	for _, engine := range known {
		again, err := policy.NewReplay(policy.ReplayConfig{Candidate: engine, AtRecords: true, Recorded: known})
		if err != nil {
			return nil, err
		}
		r.recorded[engine.Revision()] = decidesAgain{again}
	}
	given, err := policyAt(candidate, around)
	if err != nil {
		return nil, err
	}
	engine, err := r.load(ctx, given)
	if err != nil {
		return nil, fmt.Errorf("--candidate %s: %w", candidate, err)
	}
	again, err := policy.NewReplay(policy.ReplayConfig{Candidate: engine, AtRecords: given.atRecords, Recorded: known})
	r.candidate = decidesAgain{again}
	return r, err
}

// A givenPolicy is one that is named on the command line.
type givenPolicy struct {
	policy.Config
	atRecords bool // it is asked where the records say
}

// isConfig tells whether a path is that of a configuration.
func isConfig(path string) bool {
	return slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path))
}

// policyAt reads what a path names: a configuration, or files that take the place of those in the
// configuration around them.
func policyAt(path string, around *policy.Config) (givenPolicy, error) {
	if info, err := os.Stat(path); err != nil {
		return givenPolicy{}, err
	} else if !info.IsDir() && isConfig(path) {
		cfg, err := config.Load(path)
		if err != nil {
			return givenPolicy{}, err
		}
		out := policyConfig(cfg, slog.New(slog.DiscardHandler))
		out.Offline, out.MemoBytes = true, -1 // the replay remembers
		return givenPolicy{Config: out}, nil
	}
	if around != nil {
		out := *around
		out.Files, out.OPA = []string{path}, nil
		return givenPolicy{Config: out}, nil
	}
	return givenPolicy{atRecords: true, Config: policy.Config{
		Files: []string{path}, Library: policies.Library, Offline: true, MemoBytes: -1,
		Capabilities: policy.Capabilities{AllowNet: []string{"host.invalid"}}, // their builtins exist, and answer what was recorded
	}}, nil
}

func (r *replayed) load(ctx context.Context, given givenPolicy) (*policy.Engine, error) {
	engine, err := policy.New(ctx, given.Config)
	if err != nil {
		return nil, err
	}
	r.engines = append(r.engines, engine)
	if err := awaitPolicy(ctx, engine); err != nil {
		return nil, err
	}
	for _, e := range engine.Describe().Entrypoints {
		if e.Missing && !given.atRecords {
			return nil, fmt.Errorf("the entrypoint %s is no rule of the policy", e.Name)
		}
	}
	return engine, nil
}

// decidesAgain has a policy decide what records tell of.
type decidesAgain struct{ *policy.Replay }

// Again implements [replay.Decider].
func (d decidesAgain) Again(ctx context.Context, r *history.Record) (authz.Decision, error) {
	past := &policy.Past{
		Revision: r.Revision, Entrypoint: r.Entrypoint, Time: r.Time, Request: r.Request(), Identity: r.Identity(),
		Basis: authz.Basis{Input: r.Input, Masked: r.Masked, Withheld: r.Withheld, Time: r.EvaluatedAt, Results: r.Results, Incomplete: r.Incomplete},
	}
	decision, err := d.Replay.Again(ctx, past)
	if u, ok := errors.AsType[*policy.Undecided](err); ok {
		err = &replay.Undecided{Missing: u.Missing, Masked: u.Masked, Results: u.Results, Why: u.Why}
	}
	return decision, err
}
