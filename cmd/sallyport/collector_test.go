package main

import (
	"context"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/pkg/telemetry/telemetrytest"
)

// startCollector starts a receiver of OTLP, and tells Sallyport's telemetry of it.
func startCollector(t *testing.T, protocol string) *telemetrytest.Receiver {
	t.Helper()
	c, err := telemetrytest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	return c
}

// spans waits for a number of spans that are the ones wanted.
func spans(t *testing.T, c *telemetrytest.Receiver, number int, wanted func(telemetrytest.Span) bool) []telemetrytest.Span {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	find := func(kept telemetrytest.Kept) []telemetrytest.Span {
		return slices.DeleteFunc(slices.Clone(kept.Spans), func(s telemetrytest.Span) bool { return !wanted(s) })
	}
	kept, err := c.Await(ctx, func(kept telemetrytest.Kept) bool { return len(find(kept)) >= number })
	if err != nil {
		t.Fatalf("%d spans came of %d: %v", len(find(kept)), number, err)
	}
	return find(kept)
}
