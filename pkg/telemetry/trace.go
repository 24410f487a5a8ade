package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A ClientTrace is what becomes of the trace context that the client sent among the request's own
// headers. Whoever can send a request can invent one.
type ClientTrace string

// What becomes of it. The zero value is LinkClient.
const (
	LinkClient   ClientTrace = "link"   // the check's span links to it
	FollowClient ClientTrace = "parent" // it is the parent of the check's span where Envoy sent no context
	IgnoreClient ClientTrace = "ignore"
)

// A Check is a request to the server that asks about a request of a client, and knows its headers.
type Check interface {
	// ClientHeader is the header of a lower-case name; the values of one that came several times
	// are joined with commas.
	ClientHeader(name string) string
}

// Options wraps every [Check] of a server in its span, and counts those in flight. Where there are
// neither spans nor metrics there are no options.
func (t *Telemetry) Options() []grpc.ServerOption {
	if t.tracer == nil && t.metrics == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(t.Intercept)}
}

// Intercept is the interceptor of [Telemetry.Options].
func (t *Telemetry) Intercept(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	check, ok := in.(Check)
	if !ok { // a health check
		return handle(ctx, in)
	}
	if t.metrics != nil {
		t.metrics.inFlight.Add(1)
		defer t.metrics.inFlight.Add(-1)
	}
	if t.tracer == nil {
		return handle(ctx, in)
	}
	ctx, span := t.begin(ctx, check, info.FullMethod[1:])
	defer span.End()
	out, err := handle(ctx, in)
	code := status.Code(err)
	span.SetAttributes(attribute.String(keyRPCStatus, rpcStatus(code)))
	if err != nil {
		span.SetStatus(codes.Error, code.String())
	}
	return out, err
}

// begin begins the span of a check.
func (t *Telemetry) begin(ctx context.Context, check Check, method string) (context.Context, trace.Span) {
	incoming, _ := metadata.FromIncomingContext(ctx) // without any: none
	ctx = t.propagator.Extract(ctx, envoyCarrier(incoming))
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String(keyRPCSystem, "grpc"), attribute.String(keyRPCMethod, method)),
	}
	envoy := trace.SpanContextFromContext(ctx)
	switch client := t.client(check); {
	case !client.IsValid() || client.TraceID() == envoy.TraceID():
	case t.cfg.ClientTrace == FollowClient && !envoy.IsValid():
		ctx = trace.ContextWithRemoteSpanContext(ctx, client)
	default:
		options = append(options, trace.WithLinks(trace.Link{SpanContext: client}))
	}
	return t.tracer.Start(ctx, method, options...)
}

// client is the context that the client sent, without its tracestate, which is free text.
func (t *Telemetry) client(check Check) trace.SpanContext {
	if t.cfg.ClientTrace == IgnoreClient {
		return trace.SpanContext{}
	}
	ctx := t.propagator.Extract(context.Background(), clientCarrier{check})
	return trace.SpanContextFromContext(ctx).WithTraceState(trace.TraceState{})
}

// TraceID is the id of the trace that a check belongs to, "" outside of one.
func TraceID(ctx context.Context) string {
	if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
		return id.String()
	}
	return ""
}

// An envoyCarrier reads gRPC metadata for a propagator.
type envoyCarrier metadata.MD

// Get implements [propagation.TextMapCarrier].
func (c envoyCarrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements [propagation.TextMapCarrier]. Nothing is sent from here.
func (envoyCarrier) Set(string, string) {}

// Keys implements [propagation.TextMapCarrier].
func (c envoyCarrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}

// A clientCarrier reads a client's headers for a propagator.
type clientCarrier struct{ Check }

// Get implements [propagation.TextMapCarrier].
func (c clientCarrier) Get(key string) string { return c.ClientHeader(strings.ToLower(key)) }

// Set implements [propagation.TextMapCarrier]. Nothing is sent from here.
func (clientCarrier) Set(string, string) {}

// Keys implements [propagation.TextMapCarrier]. The propagators know the names they look for.
func (clientCarrier) Keys() []string { return nil }
