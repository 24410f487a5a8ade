package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Verifier watches the first door. Where there is nothing to watch with it is next itself.
func (t *Telemetry) Verifier(next authz.Verifier) authz.Verifier {
	if t.tracer == nil && t.metrics == nil {
		return next
	}
	return &verifier{next, t}
}

type verifier struct {
	next authz.Verifier
	*Telemetry
}

// Verify implements [authz.Verifier].
func (v *verifier) Verify(ctx context.Context, req *authz.Request) (authz.Identity, error) {
	began := time.Now()
	ctx, span := v.span(ctx, "verify token")
	id, err := v.next.Verify(ctx, req)
	if v.metrics != nil {
		v.metrics.verification.Record(ctx, time.Since(began).Seconds())
	}
	end(span, err)
	return id, err
}

// Decider watches the second door. Where there is nothing to watch with it is next itself.
func (t *Telemetry) Decider(next authz.Decider) authz.Decider {
	if t.tracer == nil && t.metrics == nil {
		return next
	}
	return &decider{next, t}
}

type decider struct {
	next authz.Decider
	*Telemetry
}

// Decide implements [authz.Decider].
func (d *decider) Decide(ctx context.Context, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	began := time.Now()
	ctx, span := d.span(ctx, "evaluate policy")
	decision, err := d.next.Decide(ctx, req, id)
	if d.metrics != nil {
		d.metrics.evaluation.Record(ctx, time.Since(began).Seconds())
	}
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String(keyEntrypoint, decision.Entrypoint),
			attribute.String(keyRevision, decision.Revision),
			attribute.Bool(keyPolicyCached, decision.Cached),
		)
	}
	end(span, err)
	return decision, err
}

// span begins a span inside of one that is recorded; elsewhere it is none.
func (t *Telemetry) span(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	if t.tracer == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, noop.Span{}
	}
	return t.tracer.Start(ctx, name, trace.WithAttributes(attributes...))
}

// end ends a span. A refusal is no error of ours unless we could not do our work.
func end(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		reason := authz.ReasonOf(err)
		span.SetAttributes(attribute.String(keyErrorType, string(reason)))
		if failed(reason) {
			span.SetStatus(codes.Error, err.Error())
		}
	}
	span.End()
}

// failed tells whether a reason is a failure of this server, its policy or its issuers, and not a
// refusal of what the caller brought.
func failed(reason authz.Reason) bool {
	switch reason {
	case authz.Internal, authz.Timeout, authz.NotReady, authz.Overloaded, authz.Unrecorded,
		authz.PolicyError, authz.PolicyConflict, authz.PolicyAnswerInvalid,
		authz.TokenKeysUnavailable, authz.TokenRevocationStale:
		return true
	}
	return false
}
