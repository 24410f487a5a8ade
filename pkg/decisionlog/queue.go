package decisionlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// gather is how long the writer waits for more lines after the first: one write and one waking for
	// many lines cost a tenth of one for each. It is also how late a line is.
	gather = 10 * time.Millisecond

	// spare is the largest buffer that is kept for the next batch.
	spare = 1 << 20

	// The pauses before a sink that failed is tried again, doubled each time.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// A queue holds the lines that one sink has still to take. Lines stand in one buffer; the writer
// takes all of it and leaves another.
type queue struct {
	name       string
	sink       io.Writer
	logger     *slog.Logger
	checksOnly bool

	mu      sync.Mutex
	pending []byte
	lines   int
	taken   int // bytes, and taking lines, that the sink is being given
	taking  int
	most    int // of bytes that wait or are being written
	longest int // of lines
	dropped uint64
	failure error // of the sink, while it takes nothing
	closed  bool
	room    chan struct{} // closed when there is some again; nil where nobody waits

	wake    chan struct{}
	closing chan struct{}
	done    chan struct{}
}

func newQueue(sink Sink, config Config) *queue {
	q := &queue{
		name: sink.Name, sink: sink.Writer, logger: config.Logger, checksOnly: sink.ChecksOnly, most: config.MaxBytes, longest: config.MaxLines,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	go q.write()
	return q
}

// fits tells whether there is room for a line. The lock is held.
func (q *queue) fits(line []byte) bool {
	return !q.closed && len(q.pending)+q.taken+len(line) <= q.most && q.lines+q.taking < q.longest
}

// add takes a line that fits. The lock is held.
func (q *queue) add(line []byte) {
	q.pending = append(q.pending, line...)
	q.lines++
	if q.lines == 1 {
		select {
		case q.wake <- struct{}{}:
		default: // the writer has not looked yet
		}
	}
}

// offer takes a line where there is room. Otherwise it says what to wait for; nil where that is in vain.
func (q *queue) offer(line []byte) (ok bool, room <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fits(line) {
		q.add(line)
		return true, nil
	}
	if q.closed || len(line) > q.most {
		return false, nil
	}
	if q.room == nil {
		q.room = make(chan struct{})
	}
	return false, q.room
}

// await offers a line until there is room, at most for a time, and while the caller is there.
func (q *queue) await(ctx context.Context, line []byte, patience time.Duration) bool {
	ok, room := q.offer(line)
	if ok || room == nil {
		return ok
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for !ok && room != nil {
		select {
		case <-room:
			ok, room = q.offer(line)
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return ok
}

// drop counts lines that are lost.
func (q *queue) drop(lines int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += uint64(lines) //nolint:gosec // never negative
}

func (q *queue) count() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// close lets the writer finish what is there, until ctx ends.
func (q *queue) close(ctx context.Context) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.closing)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-ctx.Done(): // the sink is stuck: what it has not taken is lost
		q.mu.Lock()
		q.dropped += uint64(q.lines + q.taking) //nolint:gosec // never negative
		q.lines, q.taking = 0, 0
		q.mu.Unlock()
	}
}

// write is the goroutine of the queue.
func (q *queue) write() {
	defer close(q.done)
	var batch []byte
	for open := true; open; {
		select {
		case <-q.wake:
		case <-q.closing:
		}
		open = q.pause(gather)
		batch = q.take(batch)
		q.deliver(batch)
		if batch = batch[:0]; cap(batch) > spare {
			batch = nil
		}
	}
}

func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = err
}

// trouble says why the sink takes nothing now; nil where it does.
func (q *queue) trouble() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failure == nil {
		return nil
	}
	return fmt.Errorf("decisionlog: %s cannot be written, %d records wait: %w", q.name, q.lines+q.taking, q.failure)
}

// pause waits; it tells whether the queue is still open.
func (q *queue) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.closing:
		return false
	}
}

// take swaps the buffer for an empty one.
func (q *queue) take(empty []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.pending
	q.pending, q.taken = empty, len(batch)
	q.lines, q.taking = 0, q.lines
	return batch
}

// deliver gives the sink a batch, until it has taken all of it: a disk that is full may be emptied.
// A sink that took a part goes on where it stopped, so that its lines stay whole.
func (q *queue) deliver(batch []byte) {
	rest, failing := batch, false
	for pause := firstPause; len(rest) > 0; pause = min(2*pause, lastPause) {
		n, err := q.sink.Write(rest)
		rest = rest[n:]
		if err == nil {
			continue
		}
		q.fail(err)
		if !failing { // one line for what an operator must act on, not one for each attempt
			q.logger.Error("decisionlog: cannot write; tried again until it works, while decisions wait", "sink", q.name, "error", err)
			failing = true
		}
		if !q.pause(pause) {
			q.drop(bytes.Count(rest, []byte{'\n'}))
			break
		}
	}
	q.mu.Lock()
	q.taken, q.taking, q.failure = 0, 0, nil
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	q.mu.Unlock()
	if failing && len(rest) == 0 {
		q.logger.Info("decisionlog: written again", "sink", q.name)
	}
}
