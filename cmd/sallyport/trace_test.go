package main

import (
	order "cmp"
	"encoding/hex"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sallyport/sallyport/pkg/telemetry/telemetrytest"
)

// tracesAtOnce makes Envoy export each span as it ends, and not every five seconds.
func tracesAtOnce() edit {
	return edit{"admin:\n", "layered_runtime:\n  layers:\n  - name: tests\n    static_layer: {tracing.opentelemetry.min_flush_spans: 1}\n\nadmin:\n"}
}

// A request is one trace: Envoy's span of the request, in it that of the check, in it Sallyport's.
func TestEnvoyTrace(t *testing.T) {
	c := startCollector(t, "grpc")
	m := startMesh(t, setup{config: "routes.yaml", collector: c.Addr(), edits: []edit{tracesAtOnce()}})
	bearer := http.Header{"Authorization": {"Bearer " + m.token(t, map[string]any{"roles": []string{"clerk"}})}}
	const door, slot, policy = "verify token", "verify token users", "evaluate policy"
	exchanges := []struct {
		exchange
		wantSpans []string // of ours, below the check's
	}{
		{exchange{name: "allowed", path: "/public/page", wantStatus: 200}, []string{door, policy}},
		{exchange{name: "allowed by a token", path: "/orders/1", header: bearer, wantStatus: 200}, []string{door, slot, policy}},
		{exchange{name: "denied", path: "/orders/7", wantStatus: 401}, []string{door, policy}},
		{exchange{name: "denied unread", path: "/orders/%2f", wantStatus: 400, wantBody: "the request is malformed"}, nil},
	}
	for _, e := range exchanges {
		e.run(t, m, http1())
	}
	m.stop() // exports what is left
	for _, e := range exchanges {
		t.Run(e.name, func(t *testing.T) {
			access := await(t, m.access, func(a accessEntry) bool { return a.Path == e.path })
			decision := await(t, m.decisions, func(d decisionEntry) bool { return d.ID == access.DecisionID })
			found := spans(t, c, 3+len(e.wantSpans), func(s telemetrytest.Span) bool { return hex.EncodeToString(s.GetTraceId()) == access.TraceID })
			ingress := one(t, found, "envoy", tracepb.Span_SPAN_KIND_SERVER)
			check := one(t, found, "envoy", tracepb.Span_SPAN_KIND_CLIENT)
			ours := one(t, found, "sallyport", tracepb.Span_SPAN_KIND_SERVER)
			if len(ingress.GetParentSpanId()) != 0 || string(check.GetParentSpanId()) != string(ingress.GetSpanId()) ||
				string(ours.GetParentSpanId()) != string(check.GetSpanId()) {
				t.Errorf("the spans do not lie in one another: %v", found)
			}
			if diff := cmp.Diff(e.wantSpans, below(found, ours)); diff != "" {
				t.Errorf("below the check (-want +got):\n%s", diff)
			}
			attribute := func(name string) *commonpb.AnyValue { return telemetrytest.Attribute(ours.GetAttributes(), name) }
			if got := attribute("sallyport.decision.id").GetStringValue(); got != decision.ID {
				t.Errorf("decision id %q, want %q", got, decision.ID)
			}
			if got := attribute("sallyport.decision.reason").GetStringValue(); got != decision.Reason {
				t.Errorf("reason %q, want %q", got, decision.Reason)
			}
			if got := attribute("sallyport.decision.allowed"); got.GetBoolValue() != (e.wantStatus == 200) || got == nil {
				t.Errorf("allowed %v", got)
			}
			if got := attribute("http.response.status_code").GetIntValue(); got != int64(decision.Status) {
				t.Errorf("status %d, want %d", got, decision.Status)
			}
			if got := attribute("sallyport.policy.entrypoint").GetStringValue(); (got == "data.envoy.authz.allow") != (e.wantSpans != nil) {
				t.Errorf("entrypoint %q", got)
			}
		})
	}
	t.Run("health checks are no spans", func(t *testing.T) {
		isRoot := func(s telemetrytest.Span) bool {
			return s.Service == "sallyport" && s.GetKind() == tracepb.Span_SPAN_KIND_SERVER
		}
		if ours := spans(t, c, len(exchanges), isRoot); len(ours) != len(exchanges) {
			t.Errorf("Sallyport made %d spans of %d checks", len(ours), len(exchanges))
		}
	})
}

// below are the names of our spans below one, in the order of their beginning.
func below(all []telemetrytest.Span, root telemetrytest.Span) []string {
	inside := map[string]bool{string(root.GetSpanId()): true}
	var names []string
	for _, s := range slices.SortedFunc(slices.Values(all), func(a, b telemetrytest.Span) int {
		return order.Compare(a.GetStartTimeUnixNano(), b.GetStartTimeUnixNano())
	}) {
		if s.Service == "sallyport" && inside[string(s.GetParentSpanId())] {
			inside[string(s.GetSpanId())] = true
			names = append(names, s.GetName())
		}
	}
	return names
}

// one is the only span of a service and kind.
func one(t *testing.T, spans []telemetrytest.Span, service string, kind tracepb.Span_SpanKind) telemetrytest.Span {
	t.Helper()
	var found []telemetrytest.Span
	for _, s := range spans {
		if s.Service == service && s.GetKind() == kind {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans of %s are %v, want one; all: %v", len(found), service, kind, spans)
	}
	return found[0]
}
