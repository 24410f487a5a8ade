package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/inspect"
	"github.com/sallyport/sallyport/pkg/server"
	"github.com/sallyport/sallyport/pkg/shadow"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// onTrial answers the candidate's service.
func (l *line) onTrial() inspect.Candidate {
	return inspect.Candidate{
		Status:    func() *inspectv1.StatusResponse { return l.stages().candidateStatus() },
		MayChange: func(by inspect.Caller) error { return mayPromote(l.stages().cfg.Policy.Candidate, by) },
		Promote:   l.promote,
		Drop:      l.drop,
	}
}

// mayPromote says why a caller must not change what decides.
func mayPromote(from *config.Candidate, by inspect.Caller) error {
	switch {
	case from == nil:
		return errors.New("there is no candidate: the configuration file has no policy.candidate")
	case from.Promote.Local && by.Local, by.Certificate != nil && server.Named(by.Certificate, from.Promote.Clients):
		return nil
	}
	return fmt.Errorf("%s may look, and not promote or drop: policy.candidate.promote.local: true lets everybody on the machine, "+
		"promote.clients those with a client certificate of these names", by)
}

// promote lets the candidate decide, if it is what the caller has seen and nothing is missing. It
// decides with what it has remembered; no check waits, and each is answered by one policy.
func (l *line) promote(by inspect.Caller, revision string) (*inspectv1.PromoteResponse, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	before := l.stages()
	c := before.candidate
	if state, trouble := c.state(); state != candidateComparing {
		return nil, errors.Join(fmt.Errorf("the candidate is %s", state), trouble)
	}
	t := c.trial.Load()
	report := t.shadow.Report()
	if report.Candidate != revision {
		return nil, fmt.Errorf("the candidate is %s now, and not %s: look at its differences first", report.Candidate, revision)
	}
	if missing := report.Missing(candidateLimits(c.cfg)); missing != "" {
		return nil, errors.New(missing)
	}
	now := time.Now()
	c.promoted.Store(&now)
	next := *before
	next.decider = t.engine
	next.service = l.newService(&next)
	l.turn(context.Background(), before, &next)
	l.endTrial(t.shadow.Close)
	l.logger.Warn("the candidate was promoted and decides; the configuration file says otherwise", "by", by.String(),
		"revision", revision, "before", report.Live, "compared", report.Compared, "differences", report.Unlike, "todo", candidateToDo(c.cfg))
	return &inspectv1.PromoteResponse{Revision: revision, ToDo: candidateToDo(c.cfg)}, nil
}

// drop ends the candidate, until the file has another one. The policy of the file decides.
func (l *line) drop(by inspect.Caller) (*inspectv1.DropResponse, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	before := l.stages()
	c := before.candidate
	if state, _ := c.state(); state == candidateDropped {
		return nil, errors.New("the candidate is dropped already; another one in the configuration file begins a new trial")
	}
	revision, decided := c.revision(), c.promoted.Load() != nil
	c.dropped.Store(true)
	next := *before
	next.decider = next.engine
	next.service = l.newService(&next)
	l.turn(context.Background(), before, &next)
	l.endTrial(c.close)
	l.logger.Warn("the candidate was dropped, and the policy of the configuration file decides", "by", by.String(),
		"revision", revision, "decided", decided, "now", next.decider.Revision())
	return &inspectv1.DropResponse{Revision: next.decider.Revision()}, nil
}

// endTrial ends what compares, and does not wait for ever: reloads wait for it.
func (l *line) endTrial(end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if err := end(ctx); err != nil {
		l.logger.Warn("the trial did not end well", "error", err)
	}
}

func candidateLimits(cfg *config.Config) shadow.Limits {
	from := cfg.Policy.Candidate.Promote
	return shadow.Limits{Decisions: uint64(from.Decisions), Differences: uint64(from.MaxDifferences)} //nolint:gosec // neither is negative
}

// candidateStatus sums up what became of the candidate.
func (s *stages) candidateStatus() *inspectv1.StatusResponse {
	c := s.candidate
	state, trouble := c.state()
	out := &inspectv1.StatusResponse{State: state, LiveRevision: s.decider.Revision()}
	if c == nil {
		return out
	}
	if trouble != nil {
		out.Trouble = trouble.Error()
	}
	limits := candidateLimits(c.cfg)
	out.Sample, out.WantedDecisions, out.MaxDifferences = float64(c.cfg.Policy.Candidate.Sample), limits.Decisions, limits.Differences
	out.Missing = "nothing is compared: the candidate is " + state
	t := c.trial.Load()
	if t == nil {
		return out
	}
	report := t.shadow.Report()
	fillReport(out, &report)
	if state == candidateComparing {
		out.Missing = report.Missing(limits)
	}
	if at := c.promoted.Load(); at != nil {
		out.PromotedAt, out.ToDo, out.Missing = timestamppb.New(*at), candidateToDo(c.cfg), ""
	}
	return out
}

func fillReport(out *inspectv1.StatusResponse, r *shadow.Report) {
	out.CandidateRevision, out.Compared, out.Failed, out.Dropped, out.Ungrouped = r.Candidate, r.Compared, r.Failed, r.Dropped, r.Ungrouped
	out.NewlyAllowed, out.NewlyDenied, out.Changed = r.Verdicts[authz.NewlyAllowed], r.Verdicts[authz.NewlyDenied], r.Verdicts[authz.Changed]
	out.Differences = r.Unlike
	if !r.Since.IsZero() {
		out.Since = timestamppb.New(r.Since)
	}
	for _, g := range r.Groups {
		out.Groups = append(out.Groups, &inspectv1.DifferenceGroup{
			Verdict: string(g.Verdict), Route: g.Route, Rule: g.Rule, Reason: string(g.Before), CandidateReason: string(g.After),
			Effects: g.Effects, Count: g.Count, SampleDecisionId: g.Sample, Last: timestamppb.New(g.Last),
		})
	}
}
