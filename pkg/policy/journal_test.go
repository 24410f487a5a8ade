package policy_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A journal is a log that a test waits for.
type journal struct {
	lines chan string
	attrs string
}

func newJournal() *journal { return &journal{lines: make(chan string, 10_000)} }

func (j *journal) logger() *slog.Logger { return slog.New(j) }

func (j *journal) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	line := r.Message + j.attrs
	r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %v", a); return true })
	j.lines <- line
	return nil
}

func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := &journal{lines: j.lines, attrs: j.attrs}
	for _, a := range attrs {
		with.attrs += fmt.Sprintf(" %v", a)
	}
	return with
}

func (j *journal) WithGroup(string) slog.Handler { return j }

// await returns the next line that has a text in it.
func (j *journal) await(t *testing.T, want string) string {
	t.Helper()
	var seen []string
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case line := <-j.lines:
			if strings.Contains(line, want) {
				return line
			}
			seen = append(seen, line)
		case <-timeout.C:
			t.Fatalf("no line with %q; there are:\n%s", want, strings.Join(seen, "\n"))
		}
	}
}
