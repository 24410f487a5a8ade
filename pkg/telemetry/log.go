package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
)

func (t *Telemetry) startLogs(ctx context.Context, described *resource.Resource) error {
	if !asked("LOGS") {
		return nil
	}
	exporter, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return refused("LOGS", err)
	}
	t.logs = sdklog.NewLoggerProvider(sdklog.WithResource(described), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	t.shutdowns = append(t.shutdowns, t.logs.Shutdown)
	return nil
}

// Logs takes log records for export over OTLP; nil where the environment asks for none.
func (t *Telemetry) Logs() log.Logger {
	if t.logs == nil {
		return nil
	}
	return t.logs.Logger(scope, log.WithInstrumentationVersion(t.cfg.Version))
}

// LogHandler gives messages the ids of their trace, and sends those that next takes over OTLP too,
// where the environment asks for it.
func (t *Telemetry) LogHandler(next slog.Handler) slog.Handler {
	handler := next
	if t.tracer != nil {
		handler = correlated{next}
	}
	if t.logs == nil {
		return handler
	}
	bridge := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(t.logs), otelslog.WithVersion(t.cfg.Version))
	return slog.NewMultiHandler(handler, levelled{bridge, next})
}

// correlated adds the ids of the span that a message belongs to.
type correlated struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h correlated) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h correlated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return correlated{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h correlated) WithGroup(name string) slog.Handler { return correlated{h.Handler.WithGroup(name)} }

// levelled takes the levels that another handler takes.
type levelled struct {
	slog.Handler
	as slog.Handler
}

// Enabled implements [slog.Handler].
func (h levelled) Enabled(ctx context.Context, level slog.Level) bool {
	return h.as.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (h levelled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelled{h.Handler.WithAttrs(attrs), h.as}
}

// WithGroup implements [slog.Handler].
func (h levelled) WithGroup(name string) slog.Handler {
	return levelled{h.Handler.WithGroup(name), h.as}
}

// complaints takes the exporters' errors. A receiver that is down fails every export, and an
// operator needs to be told once, so complaints are logged one at a time.
type complaints struct {
	logger *slog.Logger
	last   atomic.Int64 // Unix time of the last complaint
}

// silence is how long after a complaint no other is logged.
const silence = 10 * time.Minute

// Handle implements [otel.ErrorHandler]. The logger is not the one that is exported, or a log that
// cannot be exported would cause the next.
func (c *complaints) Handle(err error) {
	now, last := time.Now().Unix(), c.last.Load()
	if now-last < int64(silence/time.Second) || !c.last.CompareAndSwap(last, now) {
		return
	}
	c.logger.Warn("telemetry: not exported; told again in "+silence.String()+" at the earliest", "error", err)
}
