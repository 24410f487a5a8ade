// Package telemetry watches: it makes every check a span in the trace that Envoy began.
//
// There is one way to configure it, the OTEL_* variables of the OpenTelemetry specification:
// OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_TRACES_EXPORTER) turns it on, OTEL_TRACES_SAMPLER,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_PROPAGATORS and the rest apply.
// Where it is off, nothing of it is on a check's path.
//
//   - The server span comes from otelgrpc, its parent from the gRPC metadata, where Envoy puts it.
//     The traceparent among the request's own headers is the client's word, and is not followed.
//   - [Telemetry.Recorder] writes the decision on that span.
package telemetry

import (
	"context"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

// Telemetry owns the exporters. It must be shut down, or the last spans are lost.
type Telemetry struct {
	provider *sdktrace.TracerProvider
}

// Enabled tells whether the environment asks for traces.
func Enabled() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false
	case "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	}
	return true
}

// New makes what the environment asks for. Where it asks for nothing the spans are made, so that
// checks have a trace id, and not exported; a server without use for that id asks [Enabled] first.
func New(ctx context.Context, version string) (*Telemetry, error) {
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "sallyport"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: describe the resource: %w", err)
	}
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(described)}
	if Enabled() {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("telemetry: OTEL_TRACES_EXPORTER is %q: %w", os.Getenv("OTEL_TRACES_EXPORTER"), err)
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	}
	return &Telemetry{provider: sdktrace.NewTracerProvider(options...)}, nil
}

// ServerOption makes every call but the health checks a span.
func (t *Telemetry) ServerOption() grpc.ServerOption {
	return grpc.StatsHandler(otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(t.provider),
		otelgrpc.WithPropagators(autoprop.NewTextMapPropagator()),
		otelgrpc.WithFilter(filters.Not(filters.HealthCheck())),
	))
}

// Shutdown exports what is left.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("telemetry: export the last spans: %w", err)
	}
	return nil
}
