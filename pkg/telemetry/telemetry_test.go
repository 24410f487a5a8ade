package telemetry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/telemetry"
)

func TestEnabled(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"nothing":             {nil, false},
		"endpoint":            {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, true},
		"endpoint for traces": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4317"}, true},
		"exporter":            {map[string]string{"OTEL_TRACES_EXPORTER": "console"}, true},
		"no exporter":         {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}, false},
		"disabled":            {map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
				t.Setenv(v, tc.env[v])
			}
			if got := telemetry.Enabled(); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestUnknownExporter(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
	if _, err := telemetry.New(t.Context(), "v1"); err == nil || !strings.Contains(err.Error(), "carrier-pigeon") {
		t.Errorf("error %v does not name the exporter", err)
	}
}

func TestRecorder(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	ctx, span := provider.Tracer("test").Start(context.Background(), "check")
	telemetry.Recorder{}.Record(ctx, &authz.Record{
		ID: "d7f5",
		Request: &authz.Request{
			Source: authz.Peer{Principal: "spiffe://example.org/web"},
			HTTP: &authz.HTTP{Method: "GET", Scheme: "https", Host: "example.org", Path: authz.Path{Raw: "/orders?token=secret"},
				Headers: authz.Headers{"authorization": {"Bearer secret"}}},
		},
		Identity: authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenValid, Claims: map[string]any{"email": "secret"}}}},
		Decision: authz.Decision{Reason: authz.PolicyDenied, Detail: "lacks role admin", Status: 403, Revision: "r1"},
	})
	span.End()

	got := attribute.NewSet(exporter.GetSpans()[0].Attributes...)
	want := attribute.NewSet(
		attribute.String("sallyport.decision.id", "d7f5"), attribute.Bool("sallyport.decision.allowed", false),
		attribute.String("sallyport.decision.reason", "policy_denied"), attribute.String("sallyport.decision.detail", "lacks role admin"),
		attribute.String("sallyport.policy.revision", "r1"), attribute.String("sallyport.source.principal", "spiffe://example.org/web"),
		attribute.String("sallyport.token.users.status", "valid"), attribute.String("http.request.method", "GET"),
		attribute.String("url.scheme", "https"), attribute.String("url.path", "/orders"),
		attribute.String("server.address", "example.org"), attribute.Int("http.response.status_code", 403),
	)
	if diff := cmp.Diff(want.Encoded(attribute.DefaultEncoder()), got.Encoded(attribute.DefaultEncoder())); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if id := telemetry.TraceID(ctx); len(id) != 32 {
		t.Errorf("trace id %q", id)
	}
}

func TestOutsideOfATrace(t *testing.T) {
	telemetry.Recorder{}.Record(context.Background(), &authz.Record{Request: &authz.Request{}})
	if id := telemetry.TraceID(context.Background()); id != "" {
		t.Errorf("trace id %q, want none", id)
	}
}
