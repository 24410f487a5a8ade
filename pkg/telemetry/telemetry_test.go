package telemetry_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/telemetry"
	"github.com/sallyport/sallyport/pkg/telemetry/telemetrytest"
)

// receive starts a receiver and tells the environment of it.
func receive(t *testing.T, protocol string) *telemetrytest.Receiver {
	t.Helper()
	r, err := telemetrytest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	return r
}

func start(t *testing.T, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tel.Shutdown(context.Background()) })
	return tel
}

// TestWhatTheEnvironmentAsksFor goes through the variables: who asks for nothing gets nothing, and
// neither the doors nor the server know of telemetry then.
func TestWhatTheEnvironmentAsksFor(t *testing.T) {
	const unreachable = "http://127.0.0.1:1"
	type on struct{ Traces, Metrics, Wrapped bool }
	for name, tc := range map[string]struct {
		env  map[string]string
		cfg  telemetry.Config
		want on
	}{
		"nothing":                      {want: on{}},
		"an admin listener":            {cfg: telemetry.Config{Prometheus: true}, want: on{false, true, true}},
		"trace ids for the demo":       {cfg: telemetry.Config{Spans: true}, want: on{true, false, true}},
		"an endpoint":                  {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": unreachable}, want: on{true, false, true}},
		"an endpoint for traces":       {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": unreachable}, want: on{true, false, true}},
		"an endpoint for metrics":      {env: map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": unreachable}, want: on{false, false, true}},
		"an endpoint for logs":         {env: map[string]string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": unreachable}, want: on{}},
		"an exporter":                  {env: map[string]string{"OTEL_TRACES_EXPORTER": "console"}, want: on{true, false, true}},
		"an endpoint, and no exporter": {env: map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": unreachable}, want: on{}},
		"disabled":                     {env: map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": unreachable}, cfg: telemetry.Config{Prometheus: true, Spans: true}, want: on{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
			for _, variable := range slices.Sorted(maps.Keys(tc.env)) {
				t.Setenv(variable, tc.env[variable])
			}
			tel := start(t, tc.cfg)
			got := on{Traces: tel.Traces(), Metrics: tel.Metrics() != nil, Wrapped: tel.Options() != nil}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			d := doors{}
			same := tel.Verifier(d) == authz.Verifier(d) && tel.Decider(d) == authz.Decider(d) && tel.Recorders() == nil
			if same == tc.want.Wrapped {
				t.Errorf("the doors are left alone: %v", same)
			}
		})
	}
}

func TestUnknownExporter(t *testing.T) {
	for _, variable := range []string{"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "carrier-pigeon")
			_, err := telemetry.New(t.Context(), telemetry.Config{})
			if err == nil || !strings.Contains(err.Error(), variable+` is "carrier-pigeon"`) {
				t.Errorf("error %v does not name the variable and its value", err)
			}
		})
	}
}

// TestComplaints: a receiver that is down is told of once.
func TestComplaints(t *testing.T) {
	logger, written := textLogger()
	start(t, telemetry.Config{Logger: logger})
	for range 3 {
		otel.Handle(context.DeadlineExceeded)
	}
	if n := strings.Count(written.String(), "not exported"); n != 1 || !strings.Contains(written.String(), "deadline exceeded") {
		t.Errorf("%d complaints:\n%s", n, written)
	}
}
