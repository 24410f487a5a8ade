// Package telemetry watches: traces, metrics and messages for the operator, in OpenTelemetry.
//
// The journey of a check, seen from here:
//
//  1. An interceptor begins the check's span, in the trace that Envoy began: the context comes from
//     the gRPC metadata, where Envoy puts it. The context among the request's own headers is the
//     client's word; [ClientTrace] says what becomes of it (trace.go).
//  2. Each door is wrapped, so that it has a span and a latency (doors.go); inside, the token stage
//     tells of each slot and of fetched keys (tokens.go).
//  3. The [authz.Record] is written on the check's span and counted (record.go, count.go).
//  4. What the stages count themselves is asked when metrics are collected ([Sources], collect.go).
//     Metrics go out over OTLP, and at /metrics for Prometheus (prometheus.go).
//  5. Messages for the operator get the ids of their trace, and go out over OTLP too (log.go).
//
// There is one way to configure it, the OTEL_* variables of the OpenTelemetry specification:
// OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and
// OTEL_LOGS_EXPORTER, turn exporters on; OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES, OTEL_PROPAGATORS, OTEL_SDK_DISABLED and the rest apply.
// Where something is off, nothing of it is on a check's path.
//
// Every name that leaves here is in attributes.md. No header, query, claim or token is among them,
// and the values of metric attributes are of closed lists or of the configuration.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scope names this package to the receivers of telemetry.
const scope = "github.com/sallyport/sallyport/pkg/telemetry"

// A Config says what to watch.
type Config struct {
	Version string // of this service

	// ClientTrace is what becomes of the trace context that the client sent; "" means [LinkClient].
	ClientTrace ClientTrace

	// Spans makes spans even where nothing exports them, so that checks have a trace id.
	Spans bool

	// Prometheus keeps metrics for [Telemetry.Metrics] to serve.
	Prometheus bool

	// Issuers are those of the token rules, by the rule's name: the values of a metric attribute.
	Issuers map[string]string

	// Logger receives what goes wrong with the exporters; nil means nothing does.
	Logger *slog.Logger
}

// Telemetry owns the exporters. It must be shut down, or the last of everything is lost.
type Telemetry struct {
	cfg        Config
	tracer     trace.Tracer // nil: no spans
	propagator propagation.TextMapPropagator
	metrics    *metrics // nil: no metrics
	handler    http.Handler
	logs       *sdklog.LoggerProvider // nil: not over OTLP

	shutdowns []func(context.Context) error
}

// New makes what the environment and cfg ask for.
func New(ctx context.Context, cfg Config) (*Telemetry, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Telemetry{cfg: cfg}
	if disabled() {
		return t, nil
	}
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "sallyport"), attribute.String("service.version", cfg.Version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: describe the resource: %w", err)
	}
	for _, start := range []func(context.Context, *resource.Resource) error{t.startTraces, t.startMetrics, t.startLogs} {
		if err := start(ctx, described); err != nil {
			return nil, errors.Join(err, t.Shutdown(ctx))
		}
	}
	// The SDK hands its exporters' errors to one place of the process, and has no other.
	otel.SetErrorHandler(&complaints{logger: cfg.Logger})
	return t, nil
}

func (t *Telemetry) startTraces(ctx context.Context, described *resource.Resource) error {
	if !t.cfg.Spans && !asked("TRACES") {
		return nil
	}
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(described)}
	if asked("TRACES") {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return refused("TRACES", err)
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	}
	provider := sdktrace.NewTracerProvider(options...)
	t.shutdowns = append(t.shutdowns, provider.Shutdown)
	t.tracer = provider.Tracer(scope, trace.WithInstrumentationVersion(t.cfg.Version))
	t.propagator = autoprop.NewTextMapPropagator()
	return nil
}

// SetIssuers replaces [Config.Issuers]: other token rules are in force. One call at a time.
func (t *Telemetry) SetIssuers(issuers map[string]string) {
	if t.metrics != nil {
		t.metrics.setIssuers(issuers)
	}
}

// Shutdown exports what is left.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var all []error
	for _, shutdown := range t.shutdowns {
		all = append(all, shutdown(ctx))
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("telemetry: export what is left: %w", err)
	}
	return nil
}

func disabled() bool { return strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") }

// asked tells whether the environment asks for a signal to be exported: TRACES, METRICS or LOGS.
func asked(signal string) bool {
	switch exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter {
	case "none":
		return false
	case "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
	}
	return true
}

func refused(signal string, err error) error {
	name := "OTEL_" + signal + "_EXPORTER"
	return fmt.Errorf("telemetry: %s is %q: %w", name, os.Getenv(name), err)
}
