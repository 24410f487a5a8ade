package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
)

// TestTelemetryOff: without an admin listener and without a word from the environment, nothing of
// telemetry is on a check's way: no interceptor, no wrapper, no recorder, no observer.
func TestTelemetryOff(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want bool
	}{
		"off":                        {`listen: {admin: ""}`, false},
		"metrics for Prometheus, on": {`{}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse("sallyport.yaml", []byte(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			handler := slog.NewTextHandler(&bytes.Buffer{}, nil)
			l := &line{env: environment{logger: slog.New(handler)}}
			defer l.close(t.Context())
			tel, err := l.watch(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			next := &authz.Checker{Verifier: nobody{}, Decider: nobody{}}
			for what, on := range map[string]bool{
				"an interceptor": tel.Options() != nil,
				"the first door": tel.Verifier(next.Verifier) != next.Verifier,
				"the other door": tel.Decider(next.Decider) != next.Decider,
				"a recorder":     len(tel.Recorders()) > 0,
				"/metrics":       tel.Metrics() != nil,
			} {
				if on != tc.want {
					t.Errorf("%s: %v, want %v", what, on, tc.want)
				}
			}
			if observer(tel).Judge != nil || observer(tel).Waited != nil || tel.LogHandler(handler) != slog.Handler(handler) {
				t.Error("traces nobody asked for")
			}
		})
	}
}

// Nobody is behind the doors.
type nobody struct{}

func (nobody) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	return authz.Identity{}, nil
}

func (nobody) Decide(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
	return authz.Decision{}, nil
}

// TestCollectorDown: who serves is not stopped by a collector that is not there, and does not fail
// for it at the end. The operator is told.
func TestCollectorDown(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	s, _ := monitored(t)
	s.stop() // fails the test where run fails
	if !strings.Contains(s.messages.String(), "the last of telemetry is lost") {
		t.Errorf("the operator reads:\n%s", s.messages)
	}
}
