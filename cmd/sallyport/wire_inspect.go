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
	"github.com/sallyport/sallyport/pkg/token"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// newInspection makes the inspection service; nil without an admin listener.
func newInspection(cfg *config.Config, engine *policy.Engine, verifier *token.Verifier) *inspect.Service {
	if cfg.Listen.Admin == (config.Address{}) {
		return nil
	}
	return inspect.New(inspect.Config{
		Line: decisionlog.NewFormat(logConfig(cfg, nil).Keep).Line,
		Check: func(ctx context.Context, req *authz.Request) *authz.Record {
			var kept lastRecord
			newChecker(cfg, verifier, engine, &kept).Check(ctx, req)
			return kept.record
		},
		Explain: func(ctx context.Context, req *authz.Request, id authz.Identity) (*inspectv1.Evaluation, error) {
			why, err := engine.Explain(ctx, req, id)
			return evaluation(why), err
		},
		WhatIf: engine.WhatIf,
		Policy: func() *inspectv1.PolicyResponse { return described(engine) },
	})
}

// inspected adds the service to who hears of checks, last: it then hears of a record that was refused.
func inspected(recorders authz.Recorders, service *inspect.Service) authz.Recorders {
	if service == nil {
		return recorders
	}
	return append(recorders, service)
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
