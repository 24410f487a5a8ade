package main

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	"github.com/sallyport/sallyport/pkg/inspect"
	"github.com/sallyport/sallyport/pkg/policy"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// newInspection makes the inspection service; nil without an admin listener. It asks the stages that
// decide when it is asked.
func (l *line) newInspection(cfg *config.Config) *inspect.Service {
	if cfg.Listen.Admin == (config.Address{}) {
		return nil
	}
	return inspect.New(inspect.Config{
		Line: func(ctx context.Context, record *authz.Record) []byte {
			return decisionlog.NewFormat(logConfig(l.stages().cfg, nil).Keep).Line(ctx, record)
		},
		Difference: func(c *authz.Comparison) []byte {
			return decisionlog.NewFormat(logConfig(l.stages().cfg, nil).Keep).Difference(c)
		},
		Check: func(ctx context.Context, req *authz.Request) *authz.Record {
			var kept lastRecord
			now := l.stages()
			newChecker(now.cfg, now.verifier, now.decider, &kept).Check(ctx, req)
			return kept.record
		},
		Explain: func(ctx context.Context, req *authz.Request, id authz.Identity) (*inspectv1.Evaluation, error) {
			why, err := l.stages().decider.Explain(ctx, req, id)
			return evaluation(why), err
		},
		WhatIf: func(ctx context.Context, req *authz.Request, id authz.Identity) ([]string, error) {
			return l.stages().decider.WhatIf(ctx, req, id)
		},
		Policy:    func() *inspectv1.PolicyResponse { return described(l.stages().decider) },
		Candidate: l.onTrial(),
	})
}

// inspectors are the service, where there is one. It hears of checks last: then it hears of a record
// that was refused.
func inspectors(service *inspect.Service) authz.Recorders {
	if service == nil {
		return nil
	}
	return authz.Recorders{service}
}

func inspectHandler(service *inspect.Service) http.Handler {
	if service == nil {
		return nil
	}
	return service.Server()
}

// A lastRecord is the record of one check.
type lastRecord struct{ record *authz.Record }

// Record implements [authz.Recorder].
func (l *lastRecord) Record(_ context.Context, record *authz.Record) error {
	l.record = record
	return nil
}

func evaluation(why policy.Explanation) *inspectv1.Evaluation {
	out := &inspectv1.Evaluation{
		Entrypoint: why.Entrypoint, Revision: why.Decision.Revision, Allowed: why.Decision.Allowed, Detail: why.Decision.Detail,
	}
	for _, r := range why.Rules {
		rule := &inspectv1.Rule{Name: r.Name, File: r.File, Line: int32(r.Line), Default: r.Default, Outcome: string(r.Outcome)} //nolint:gosec // no file has 2³¹ lines
		if at := r.FailedAt; at != nil {
			rule.FailedAt = &inspectv1.Place{File: at.File, Line: int32(at.Line), Text: at.Text} //nolint:gosec // likewise
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func described(engine *policy.Engine) *inspectv1.PolicyResponse {
	about, stats := engine.Describe(), engine.Stats()
	if about.Revision == "" {
		return nil
	}
	out := &inspectv1.PolicyResponse{
		Revision: about.Revision, Modules: int32(about.Modules), Time: timestamppb.New(time.Now()), //nolint:gosec // far fewer than 2³¹
		Memo: &inspectv1.Memo{
			Hits: stats.Hits, Misses: stats.Misses, Bypasses: stats.Bypasses, Evictions: stats.Evictions, Differences: stats.Differences,
			Entries: uint64(max(stats.Entries, 0)), Bytes: uint64(max(stats.Bytes, 0)),
		},
	}
	for _, e := range about.Entrypoints {
		out.Entrypoints = append(out.Entrypoints, &inspectv1.Entrypoint{
			Name: e.Name, Host: e.Host, Network: e.Network, ContextExtensions: e.ContextExtensions,
			Missing: e.Missing, Reads: e.Reads, Deterministic: e.Deterministic, Memo: e.Memo,
		})
	}
	return out
}
