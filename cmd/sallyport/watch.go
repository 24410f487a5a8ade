package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/server"
	"github.com/sallyport/sallyport/pkg/telemetry"
	"github.com/sallyport/sallyport/pkg/token"
)

// newLogger writes messages for the operator.
func newLogger(cfg config.Log, level slog.Leveler, to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == config.JSONLog {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

// watch starts telemetry. Where neither the environment nor the admin listener asks for it, it wraps
// nothing.
func (l *line) watch(ctx context.Context, cfg *config.Config) (*telemetry.Telemetry, error) {
	t, err := telemetry.New(ctx, telemetry.Config{
		Version:     version(),
		ClientTrace: telemetry.ClientTrace(cfg.Telemetry.ClientTrace),
		Spans:       l.env.traced,
		Prometheus:  server.Address(cfg.Listen.Admin) != server.Address{},
		Issuers:     issuers(cfg),
		Logger:      l.env.logger,
	})
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, func(ctx context.Context) error {
		if err := t.Shutdown(ctx); err != nil { // no reason to say that serving failed
			l.env.logger.Warn("the last of telemetry is lost", "error", err)
		}
		return nil
	})
	return t, nil
}

// issuers are those of the rules, by the rule's name.
func issuers(cfg *config.Config) map[string]string {
	found := make(map[string]string, len(cfg.JWT.Rules))
	for _, r := range cfg.JWT.Rules {
		found[r.Name] = r.Issuer
		if r.TrustDomain != "" {
			found[r.Name] = "spiffe://" + r.TrustDomain
		}
	}
	return found
}

// observer lets the first door tell of tokens, where there are spans to tell it on.
func observer(t *telemetry.Telemetry) token.Observer {
	if !t.Traces() {
		return token.Observer{}
	}
	return token.Observer{
		Judge: func(ctx context.Context, rule string) (context.Context, func(token.Judgement)) {
			ctx, done := t.Judge(ctx, rule)
			return ctx, func(j token.Judgement) { done(j.Cached, j.Err) }
		},
		Waited: t.Waited,
	}
}
