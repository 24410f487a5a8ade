package decisionlog_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/log/embedded"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/pkg/decisionlog"
)

// A collector keeps log records, and the trace that each is of.
type collector struct {
	embedded.Logger
	records []log.Record
	spans   []trace.SpanContext
}

func (c *collector) Emit(ctx context.Context, r log.Record) {
	c.records = append(c.records, r)
	c.spans = append(c.spans, trace.SpanContextFromContext(ctx))
}

func (*collector) Enabled(context.Context, log.EnabledParameters) bool { return true }

func TestOTel(t *testing.T) {
	c := &collector{}
	text := logged(t, decisionlog.Keep{Claims: []string{"exp"}}, record(), record())
	if n, err := (decisionlog.OTel{Logger: c}).Write([]byte(text)); err != nil || n != len(text) {
		t.Fatalf("%d of %d bytes, %v", n, len(text), err)
	}
	if len(c.records) != 2 {
		t.Fatalf("%d records, want 2", len(c.records))
	}
	r := c.records[0]
	if r.EventName() != decisionlog.EventName || !r.Timestamp().Equal(time.Date(2026, 11, 23, 9, 0, 0, 123456789, time.UTC)) {
		t.Errorf("%s at %v", r.EventName(), r.Timestamp())
	}
	if span := c.spans[0]; span.TraceID() != (trace.TraceID{1}) || span.SpanID() != (trace.SpanID{2}) {
		t.Errorf("the span is %v", span)
	}
	attributes := map[string]string{}
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		attributes[string(kv.Key)] = kv.Value.String()
		return true
	})
	want := map[string]string{"sallyport.decision.id": "d7f5", "sallyport.decision.allowed": "false", "sallyport.decision.reason": "policy_denied"}
	if diff := cmp.Diff(want, attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	members := map[string]attribute.Value{}
	for _, kv := range r.Body().AsMap() {
		members[string(kv.Key)] = kv.Value
	}
	if members["status"].AsInt64() != 403 || members["path"].AsString() != "/orders" || members["complete"].AsBool() || members["tokens"].Type() != attribute.MAP {
		t.Errorf("body %v", r.Body().String())
	}
	if _, err := (decisionlog.OTel{Logger: c}).Write([]byte("no JSON\n")); err == nil {
		t.Error("a line that is no record was taken")
	}
}
