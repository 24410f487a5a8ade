package decisionlog

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// An OTel is a sink that hands each record to OpenTelemetry as a log record: its body is the record,
// its event name sallyport.decision, and it belongs to the trace of the check. What is exported, and
// where, is the provider's matter.
type OTel struct {
	Logger log.Logger
}

// The names of the log records: of checks, and of what a candidate would have decided.
const (
	EventName           = "sallyport.decision"
	DifferenceEventName = "sallyport.candidate.difference"
)

// Write implements [io.Writer] for whole lines.
func (o OTel) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		var record map[string]any
		if err := decoder.Decode(&record); err != nil {
			return len(lines), err // nothing in a second attempt would differ
		}
		o.emit(record)
	}
	return len(lines), nil
}

func (o OTel) emit(record map[string]any) {
	var r log.Record
	r.SetEventName(EventName)
	if candidate, ok := record["candidate"].(map[string]any); ok {
		r.SetEventName(DifferenceEventName)
		r.AddAttributes(attribute.String("sallyport.candidate.verdict", text(candidate, "verdict")))
	}
	r.SetSeverity(log.SeverityInfo)
	r.SetSeverityText("INFO")
	if at, err := time.Parse(time.RFC3339Nano, text(record, "timestamp")); err == nil {
		r.SetTimestamp(at)
	}
	allowed, _ := record["allowed"].(bool) // it is always there
	r.AddAttributes(
		attribute.String("sallyport.decision.id", text(record, "decision_id")),
		attribute.Bool("sallyport.decision.allowed", allowed),
		attribute.String("sallyport.decision.reason", text(record, "reason")),
	)
	r.SetBody(value(record))
	o.Logger.Emit(traced(record), r)
}

func text(record map[string]any, name string) string {
	text, _ := record[name].(string) // absent: ""
	return text
}

// traced is a context with the check's span, which is where a log record takes its trace from.
func traced(record map[string]any) context.Context {
	traceID, err := trace.TraceIDFromHex(text(record, "trace_id"))
	if err != nil {
		return context.Background()
	}
	spanID, err := trace.SpanIDFromHex(text(record, "span_id"))
	if err != nil {
		return context.Background()
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled})
	return trace.ContextWithSpanContext(context.Background(), span)
}

// value turns JSON into OpenTelemetry's. A number is an integer where it is one, else a double.
func value(of any) attribute.Value {
	switch v := of.(type) {
	case string:
		return attribute.StringValue(v)
	case bool:
		return attribute.BoolValue(v)
	case json.Number:
		return number(v)
	case []any:
		list := make([]attribute.Value, len(v))
		for i, element := range v {
			list[i] = value(element)
		}
		return attribute.SliceValue(list...)
	case map[string]any:
		members := make([]attribute.KeyValue, 0, len(v))
		for name, member := range v {
			members = append(members, attribute.KeyValue{Key: attribute.Key(name), Value: value(member)})
		}
		return attribute.MapValue(members...)
	}
	return attribute.Value{}
}

func number(n json.Number) attribute.Value {
	if integer, err := n.Int64(); err == nil && !strings.ContainsAny(n.String(), ".eE") {
		return attribute.Int64Value(integer)
	}
	if double, err := n.Float64(); err == nil {
		return attribute.Float64Value(double)
	}
	return attribute.StringValue(n.String())
}
