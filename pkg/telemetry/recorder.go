package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Recorder writes each decision on the check's span. Names follow OpenTelemetry's semantic
// conventions where they exist; the rest is under "sallyport.". No header, query or claim is
// written, since any of them may be a credential.
type Recorder struct{}

// Record implements [authz.Recorder].
func (Recorder) Record(ctx context.Context, record *authz.Record) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	d := record.Decision
	span.SetAttributes(
		attribute.String("sallyport.decision.id", record.ID),
		attribute.Bool("sallyport.decision.allowed", d.Allowed),
		attribute.String("sallyport.decision.reason", string(d.Reason)),
		attribute.String("sallyport.policy.revision", d.Revision),
	)
	if d.Detail != "" {
		span.SetAttributes(attribute.String("sallyport.decision.detail", d.Detail))
	}
	if principal := record.Request.Source.Principal; principal != "" {
		span.SetAttributes(attribute.String("sallyport.source.principal", principal))
	}
	if http := record.Request.HTTP; http != nil {
		span.SetAttributes(httpAttributes(http, d)...)
	}
	for slot, token := range record.Identity.Tokens {
		span.SetAttributes(attribute.String("sallyport.token."+slot+".status", string(token.Status)))
	}
}

func httpAttributes(http *authz.HTTP, d authz.Decision) []attribute.KeyValue {
	path, _, _ := strings.Cut(http.Path.Raw, "?")
	out := []attribute.KeyValue{
		attribute.String("http.request.method", http.Method),
		attribute.String("url.scheme", http.Scheme),
		attribute.String("url.path", path),
		attribute.String("server.address", http.Host),
	}
	if !d.Allowed {
		out = append(out, attribute.Int("http.response.status_code", d.Status))
	}
	return out
}

// TraceID is the id of the trace that a check belongs to, "" outside of one.
func TraceID(ctx context.Context) string {
	if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
		return id.String()
	}
	return ""
}
