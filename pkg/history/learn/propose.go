package learn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/pkg/history"
)

// A Proposal is the least privilege that a log needs. All of the log was decided by it, as rules and as
// Rego: nothing that was denied is allowed. Its JSON is described in deploy/zero-trust.md.
type Proposal struct {
	Decisions    int            `json:"decisions"`
	Allowed      int            `json:"allowed"`       // as before
	Denied       int            `json:"denied"`        // as before
	NewlyAllowed int            `json:"newly_allowed"` // 0, or there is no proposal
	Unsure       int            `json:"unsure"`        // denied, and the record does not tell whether they still would be
	NewlyDenied  []Loss         `json:"newly_denied"`  // by pattern and reason
	Skipped      map[string]int `json:"skipped"`       // denied, and not by the policy's word: by reason
	Supposed     int            `json:"supposed"`      // requests that nobody made, which the recorded policy was asked about
	Unproven     string         `json:"unproven"`      // why it may allow what the recorded policy denies; "": it was looked for, and not found
	Routes       []any          `json:"routes"`        // policy.data.routes
	Network      []any          `json:"network"`       // policy.data.network
	Rego         string         `json:"rego"`          // the same, as a policy
	RouteCases   string         `json:"-"`             // the record as request cases, with the rules in them
	RegoCases    string         `json:"-"`             // for the Rego

	rules []rule
}

// propose makes the proposal of the rules as they are, and decides the log with what will be offered.
func (l *learner) propose(ctx context.Context, before *replayed) (*Proposal, error) {
	rules := merged(l.all())
	slices.SortStableFunc(rules, compareRules)
	made, names := data(rules)
	module := rego(rules, before)
	byRules, err := l.Make(ctx, made)
	if err != nil {
		return nil, fmt.Errorf("learn: make the proposal: %w", err)
	}
	byRego, err := l.MakeRego(ctx, module)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("learn: make the proposal in Rego: %w", err), byRules.Close())
	}
	v, w := newReplayed(), newReplayed()
	err = l.Read(ctx, func(r *history.Record) error {
		return errors.Join(l.replay(ctx, v, r, byRules, names), l.replay(ctx, w, r, byRego, names))
	})
	if err := errors.Join(err, byRules.Close(), byRego.Close()); err != nil {
		return nil, fmt.Errorf("learn: decide the log again: %w", err)
	}
	if len(v.breaches)+len(w.breaches) > 0 || v.allowed != w.allowed {
		return nil, fmt.Errorf("learn: there is no proposal: rules and Rego allow %d and %d of what was denied, and %d and %d of what was allowed", len(v.breaches), len(w.breaches), v.allowed, w.allowed)
	}
	out := &Proposal{
		Decisions: v.decisions, Allowed: v.allowed, Denied: v.denied, Unsure: v.unsure, NewlyDenied: v.lost(), Skipped: v.skipped,
		Unproven: l.unproven(), Rego: module, rules: rules,
		RouteCases: l.cases(rules, dataText(rules, "")), RegoCases: l.cases(rules, ""),
	}
	for _, p := range profilesOf(rules) {
		out.Supposed += p.supposed
	}
	out.Routes, out.Network = list(made["routes"]), list(made["network"])
	return out, nil
}

// unproven says why nobody knows whether the proposal is wider than the recorded policy.
func (l *learner) unproven() string {
	switch {
	case l.Recorded == nil:
		return "the policy that made the record is not at hand (--config), so only what was denied is known to be denied"
	case l.elsewhere > 0:
		return fmt.Sprintf("%d decisions were made by another policy than the one at hand (%s)", l.elsewhere, l.Recorded.Revision)
	case l.unlike > 0:
		return fmt.Sprintf("the policy at hand decides %d decisions otherwise than they were recorded, so it is not the one that made the record", l.unlike)
	}
	return ""
}
