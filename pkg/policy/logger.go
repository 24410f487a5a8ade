package policy

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/util"
)

// A logger hands OPA's messages to slog. What OPA says at info is for it alone: here it is debug.
type logger struct{ to *slog.Logger }

func newLogger(to *slog.Logger) logging.Logger { return &logger{to} }

func (l *logger) log(level slog.Level, format string, args []any) {
	if ctx := context.Background(); l.to.Enabled(ctx, level) {
		l.to.Log(ctx, level, "opa: "+fmt.Sprintf(format, args...))
	}
}

// Debug implements [logging.Logger].
func (l *logger) Debug(format string, args ...any) { l.log(slog.LevelDebug, format, args) }

// Info implements [logging.Logger].
func (l *logger) Info(format string, args ...any) { l.log(slog.LevelDebug, format, args) }

// Warn implements [logging.Logger].
func (l *logger) Warn(format string, args ...any) { l.log(slog.LevelWarn, format, args) }

// Error implements [logging.Logger].
func (l *logger) Error(format string, args ...any) { l.log(slog.LevelError, format, args) }

// WithFields implements [logging.Logger].
func (l *logger) WithFields(fields map[string]any) logging.Logger {
	return &logger{l.with(fields)}
}

func (l *logger) with(fields map[string]any) *slog.Logger {
	args := make([]any, 0, 2*len(fields))
	for _, name := range util.KeysSorted(fields) {
		args = append(args, name, fields[name])
	}
	return l.to.With(args...)
}

// GetLevel implements [logging.Logger]. At debug OPA would look closer at what it sends.
func (l *logger) GetLevel() logging.Level { return logging.Info }

// SetLevel implements [logging.Logger]; the level is the operator's.
func (l *logger) SetLevel(logging.Level) {}

// A console takes what an operator asked for with "console: true": decision logs, status.
type console struct{ logger }

// Info implements [logging.Logger].
func (c *console) Info(format string, args ...any) { c.log(slog.LevelInfo, format, args) }

// WithFields implements [logging.Logger].
func (c *console) WithFields(fields map[string]any) logging.Logger {
	return &console{logger{c.with(fields)}}
}
