package main

import (
	"encoding/hex"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// tracesAtOnce makes Envoy export each span as it ends, and not every five seconds.
func tracesAtOnce() edit {
	return edit{"admin:\n", "layered_runtime:\n  layers:\n  - name: tests\n    static_layer: {tracing.opentelemetry.min_flush_spans: 1}\n\nadmin:\n"}
}

// A request is one trace: Envoy's span of the request, in it that of the check, in it Sallyport's.
func TestEnvoyTrace(t *testing.T) {
	c := startCollector(t, "grpc")
	m := startMesh(t, setup{config: "routes.yaml", collector: c.addr, edits: []edit{tracesAtOnce()}})
	exchanges := []exchange{
		{name: "allowed", path: "/public/page", wantStatus: 200},
		{name: "denied", path: "/orders/7", wantStatus: 401},
		{name: "denied unread", path: "/orders/%2f", wantStatus: 400, wantBody: "the request is malformed"},
	}
	for _, e := range exchanges {
		e.run(t, m, http1())
	}
	m.stop() // exports what is left
	for _, e := range exchanges {
		t.Run(e.name, func(t *testing.T) {
			access := await(t, m.access, func(a accessEntry) bool { return a.Path == e.path })
			decision := await(t, m.decisions, func(d decisionEntry) bool { return d.ID == access.DecisionID })
			spans := c.await(t, 3, func(s span) bool { return hex.EncodeToString(s.GetTraceId()) == access.TraceID })
			ingress := one(t, spans, "envoy", tracepb.Span_SPAN_KIND_SERVER)
			check := one(t, spans, "envoy", tracepb.Span_SPAN_KIND_CLIENT)
			ours := one(t, spans, "sallyport", tracepb.Span_SPAN_KIND_SERVER)
			if len(ingress.GetParentSpanId()) != 0 || string(check.GetParentSpanId()) != string(ingress.GetSpanId()) ||
				string(ours.GetParentSpanId()) != string(check.GetSpanId()) {
				t.Errorf("the spans do not lie in one another: %v", spans)
			}
			if got := attribute(ours.GetAttributes(), "sallyport.decision.id").GetStringValue(); got != decision.ID {
				t.Errorf("decision id %q, want %q", got, decision.ID)
			}
			if got := attribute(ours.GetAttributes(), "sallyport.decision.reason").GetStringValue(); got != decision.Reason {
				t.Errorf("reason %q, want %q", got, decision.Reason)
			}
			if got := attribute(ours.GetAttributes(), "sallyport.decision.allowed"); got.GetBoolValue() != (e.wantStatus == 200) || got == nil {
				t.Errorf("allowed %v", got)
			}
			if got := attribute(ours.GetAttributes(), "http.response.status_code").GetIntValue(); got != int64(decision.Status) {
				t.Errorf("status %d, want %d", got, decision.Status)
			}
		})
	}
	t.Run("health checks are no spans", func(t *testing.T) {
		if ours := c.await(t, len(exchanges), func(s span) bool { return s.service == "sallyport" }); len(ours) != len(exchanges) {
			t.Errorf("Sallyport made %d spans of %d checks", len(ours), len(exchanges))
		}
	})
}

// one is the only span of a service and kind.
func one(t *testing.T, spans []span, service string, kind tracepb.Span_SpanKind) span {
	t.Helper()
	var found []span
	for _, s := range spans {
		if s.service == service && s.GetKind() == kind {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans of %s are %v, want one; all: %v", len(found), service, kind, spans)
	}
	return found[0]
}
