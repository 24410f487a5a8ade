// Package decisionlog records: one entry for every check, allowed or denied, as NDJSON.
//
// A check hands its entry to a bounded queue and goes on; one goroutine writes. When the queue is
// full, since a disk is slow or a reader is gone, entries are dropped and counted, because a log
// must not become an outage. An entry is masked by what it is made of, before the queue: it has no
// header, query, body or token, and of the claims only sub.
package decisionlog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/pkg/authz"
)

// queueSize is how many entries may wait: about half a second of a busy server, 4 MiB.
const queueSize = 8192

// A Log writes entries to its sinks. It is an [authz.Recorder].
type Log struct {
	sinks   []io.Writer
	logger  *slog.Logger
	queue   chan Entry
	done    chan struct{}
	dropped atomic.Uint64

	mu     sync.RWMutex // guards closed, against a send on the closed queue
	closed bool
}

// New starts the writer; Close ends it.
func New(logger *slog.Logger, sinks ...io.Writer) *Log {
	l := &Log{sinks: sinks, logger: logger, queue: make(chan Entry, queueSize), done: make(chan struct{})}
	go l.write()
	return l
}

// Record implements [authz.Recorder]. It never blocks.
func (l *Log) Record(_ context.Context, record *authz.Record) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		l.dropped.Add(1)
		return nil
	}
	select {
	case l.queue <- NewEntry(record):
	default:
		l.dropped.Add(1)
	}
	return nil
}

// Dropped counts the entries that were not written because the queue was full or closed.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Close writes what is queued and says if anything was dropped. The sinks stay open.
func (l *Log) Close() error {
	l.mu.Lock()
	alreadyClosed := l.closed
	l.closed = true
	l.mu.Unlock()
	if !alreadyClosed {
		close(l.queue)
	}
	<-l.done
	if n := l.Dropped(); n > 0 {
		return fmt.Errorf("decisionlog: %d entries were dropped", n)
	}
	return nil
}

func (l *Log) write() {
	defer close(l.done)
	failing := make([]bool, len(l.sinks))
	for entry := range l.queue {
		line, err := json.Marshal(entry)
		if err != nil { // an Entry is strings and numbers
			l.dropped.Add(1)
			continue
		}
		line = append(line, '\n')
		for i, sink := range l.sinks {
			_, err := sink.Write(line)
			if err != nil && !failing[i] { // one line for what an operator must act on, not one an entry
				l.logger.Error("decisionlog: cannot write", "error", err)
			}
			failing[i] = err != nil
		}
	}
}
