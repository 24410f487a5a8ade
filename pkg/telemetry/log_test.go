package telemetry_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/pkg/telemetry"
)

func textLogger() (*slog.Logger, *bytes.Buffer) {
	var written bytes.Buffer
	return slog.New(handler(&written)), &written
}

func handler(to *bytes.Buffer) slog.Handler {
	return slog.NewTextHandler(to, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

func inSpan(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
}

func TestLogsAreCorrelated(t *testing.T) {
	tel := start(t, telemetry.Config{Spans: true})
	var written bytes.Buffer
	logger := slog.New(tel.LogHandler(handler(&written))).With("a", 1)
	logger.InfoContext(t.Context(), "outside")
	logger.InfoContext(inSpan(t.Context()), "inside", "b", 2)
	want := "level=INFO msg=outside a=1\n" +
		"level=INFO msg=inside a=1 b=2 trace_id=01000000000000000000000000000000 span_id=0200000000000000\n"
	if diff := cmp.Diff(want, written.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLogsAreLeftAlone(t *testing.T) {
	var written bytes.Buffer
	next := handler(&written)
	if start(t, telemetry.Config{Prometheus: true}).LogHandler(next) != next {
		t.Error("wrapped without traces or OTLP")
	}
}

// TestLogsOverOTLP: what the operator reads, and nothing that its level leaves out, with its trace.
func TestLogsOverOTLP(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			r := receive(t, protocol)
			tel := start(t, telemetry.Config{})
			var written bytes.Buffer
			logger := slog.New(tel.LogHandler(handler(&written))).With("stage", "policy").WithGroup("g")
			logger.DebugContext(t.Context(), "left out")
			logger.WarnContext(inSpan(t.Context()), "policy refused", "revision", "r1")
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			logs := r.Kept().Logs
			if len(logs) != 1 {
				t.Fatalf("%d logs came, want 1: %v", len(logs), logs)
			}
			if got := logs[0]; got.GetBody().GetStringValue() != "policy refused" || got.GetSeverityText() != "WARN" ||
				hex.EncodeToString(got.GetTraceId()) != "01000000000000000000000000000000" || !strings.Contains(got.String(), "r1") {
				t.Errorf("%v", got)
			}
			if !strings.Contains(written.String(), "policy refused") {
				t.Error("not written here too")
			}
		})
	}
}
