// Package decisionlog records: one line for every check, allowed or denied, as NDJSON in the format
// of sallyport.decision.v1.
//
// The journey of a record:
//
//  1. A check hands its [authz.Record] to [Log.Record]. The line is written at once (line.go), and
//     credentials are masked while it is: what waits or leaves has none. What the policy read of the
//     request was masked where it was read, and is copied (see [authz.Basis]).
//  2. The line goes into a queue for each sink (queue.go), bounded in bytes and in lines, and the
//     check goes on. A sink that is slow or stuck holds up neither checks nor other sinks.
//  3. One goroutine for each sink writes, many lines at a time: to standard output or a file that is
//     rotated (file.go), as OpenTelemetry's log records (otel.go), or where else cmd says.
//
// When a queue is full, [WhenFull] says what gives way: the record, the caller's time, or the check.
package decisionlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// WhenFull is what happens to a record for which a queue has no room.
type WhenFull string

// What happens to it. The zero value is Drop.
const (
	Drop  WhenFull = "drop"  // it is dropped and counted: a log must not become an outage
	Block WhenFull = "block" // the check waits for room, for a time, and then it is dropped
	Deny  WhenFull = "deny"  // the check is denied: nothing is allowed that is not recorded
)

// A Config says what is recorded, and where it goes.
type Config struct {
	Sinks []Sink
	Keep  Keep

	WhenFull     WhenFull
	BlockTimeout time.Duration // of Block; 0 means 100 ms

	// MaxBytes and MaxLines bound what waits for each sink; 0 means 16 MiB and 65,536.
	MaxBytes int
	MaxLines int

	// Logger receives what an operator should know; nil means nothing does.
	Logger *slog.Logger
}

// A Sink takes whole lines, many at a time. It is called by one goroutine.
type Sink struct {
	Name   string // for messages and metrics
	Writer io.Writer

	// ChecksOnly keeps the lines of differences (see [Log.Difference]) from it.
	ChecksOnly bool
}

// A Log writes records to its sinks. It is an [authz.Recorder].
type Log struct {
	config Config
	keep   *keep
	queues []*queue
	lines  sync.Pool // of *[]byte
}

// New starts the writers; Close ends them.
func New(config Config) *Log {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.BlockTimeout == 0 {
		config.BlockTimeout = 100 * time.Millisecond
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = 16 << 20
	}
	if config.MaxLines == 0 {
		config.MaxLines = 1 << 16
	}
	l := &Log{config: config, keep: newKeep(config.Keep), lines: sync.Pool{New: func() any { return new(make([]byte, 0, 2<<10)) }}}
	for _, sink := range config.Sinks {
		l.queues = append(l.queues, newQueue(sink, config))
	}
	return l
}

// Record implements [authz.Recorder]. It fails only where WhenFull is Deny.
func (l *Log) Record(ctx context.Context, record *authz.Record) error {
	buffer, ok := l.lines.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
	}
	line := l.keep.appendLine((*buffer)[:0], ctx, record)
	err := l.put(ctx, line)
	if cap(line) <= spare {
		*buffer = line
		l.lines.Put(buffer)
	}
	return err
}

func (l *Log) put(ctx context.Context, line []byte) error {
	if l.config.WhenFull == Deny {
		return l.putAll(line)
	}
	for _, q := range l.queues {
		var ok bool
		if l.config.WhenFull == Block {
			ok = q.await(ctx, line, l.config.BlockTimeout)
		} else {
			ok, _ = q.offer(line)
		}
		if !ok {
			q.drop(1)
		}
	}
	return nil
}

// putAll gives a line to all queues or to none, so that no sink has an allow that was none.
func (l *Log) putAll(line []byte) error {
	for _, q := range l.queues {
		q.mu.Lock()
	}
	defer func() {
		for _, q := range l.queues {
			q.mu.Unlock()
		}
	}()
	for _, q := range l.queues {
		if !q.fits(line) {
			q.dropped++
			return &authz.Error{Reason: authz.Unrecorded, Err: fmt.Errorf("decisionlog: the queue of %s is full", q.name)}
		}
	}
	for _, q := range l.queues {
		q.add(line)
	}
	return nil
}

// Dropped counts the records that did not reach a sink, over all sinks: for want of room, or because
// the sink failed until the end.
func (l *Log) Dropped() uint64 {
	var all uint64
	for _, q := range l.queues {
		all += q.count()
	}
	return all
}

// Trouble says which sinks take nothing now, and why.
func (l *Log) Trouble() error {
	var errs []error
	for _, q := range l.queues {
		errs = append(errs, q.trouble())
	}
	return errors.Join(errs...)
}

// Close writes what is queued, until ctx ends, and says if anything was dropped. The sinks stay open.
func (l *Log) Close(ctx context.Context) error {
	var wait sync.WaitGroup
	for _, q := range l.queues {
		wait.Go(func() { q.close(ctx) })
	}
	wait.Wait()
	var errs []error
	for _, q := range l.queues {
		if n := q.count(); n > 0 {
			errs = append(errs, fmt.Errorf("decisionlog: %d records did not reach %s", n, q.name))
		}
	}
	return errors.Join(errs...)
}
