package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Traces tells whether there are spans: where there are none, nobody need call Judge and Waited.
func (t *Telemetry) Traces() bool { return t.tracer != nil }

// Judge begins the span of a token that is for a rule. done is called with what came out for it:
// whether that is known from an earlier check, and why it is refused.
func (t *Telemetry) Judge(ctx context.Context, rule string) (_ context.Context, done func(cached bool, err error)) {
	ctx, span := t.span(ctx, "verify token "+rule, attribute.String(keyTokenRule, rule), attribute.String(keyTokenIssuer, t.cfg.Issuers[rule]))
	if !span.IsRecording() {
		return ctx, func(bool, error) {}
	}
	return ctx, func(cached bool, err error) {
		outcome := string(authz.TokenValid)
		if err != nil {
			outcome = string(authz.ReasonOf(err))
		}
		span.SetAttributes(attribute.Bool(keyTokenCached, cached), attribute.String(keyTokenOutcome, outcome))
		end(span, err)
	}
}

// Waited notes on a token's span that its check waited for a fetch of the issuer's keys.
func (t *Telemetry) Waited(ctx context.Context, issuer string, err error) {
	outcome := fetchOK
	if err != nil {
		outcome = fetchFailed
	}
	trace.SpanFromContext(ctx).AddEvent(eventKeysFetched, trace.WithAttributes(
		attribute.String(keyTokenIssuer, issuer), attribute.String(keyFetchOutcome, outcome)))
}
