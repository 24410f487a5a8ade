package decisionlog_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
)

// A stuck sink blocks until it is released.
type stuck struct {
	release chan struct{}
	lines   int
}

func newStuck() *stuck { return &stuck{release: make(chan struct{})} }

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	s.lines += bytes.Count(p, []byte{'\n'})
	return len(p), nil
}

func sinks(writers ...io.Writer) (all []decisionlog.Sink) {
	for _, w := range writers {
		all = append(all, decisionlog.Sink{Name: "test", Writer: w})
	}
	return all
}

// A full queue drops and counts; it never makes a check wait, nor another sink.
func TestDropWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room, sent = 100, 130
		sink := newStuck()
		var other bytes.Buffer
		log := decisionlog.New(decisionlog.Config{Sinks: sinks(sink, &other), MaxLines: room})
		for range sent {
			if err := log.Record(t.Context(), record()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond) // the other sink is written meanwhile
		}
		synctest.Wait()
		if dropped := log.Dropped(); dropped != sent-room {
			t.Errorf("%d records were dropped, want %d", dropped, sent-room)
		}
		close(sink.release)
		if err := log.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "30 records did not reach test") {
			t.Errorf("close says %v", err)
		}
		if other := strings.Count(other.String(), "\n"); sink.lines != room || other != sent {
			t.Errorf("%d and %d lines written, want %d and %d", sink.lines, other, room, sent)
		}
	})
}

// The queue is bounded in bytes too, and a line that alone is too long is dropped.
func TestBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newStuck()
		log := decisionlog.New(decisionlog.Config{Sinks: sinks(sink), MaxBytes: 5000, WhenFull: decisionlog.Block, BlockTimeout: time.Nanosecond})
		long := record()
		long.Decision.Detail = strings.Repeat("x", 6000)
		for _, r := range []*authz.Record{long, record(), record(), record(), record(), record(), record()} {
			_ = log.Record(t.Context(), r)
		}
		if dropped := log.Dropped(); dropped < 2 || dropped > 4 {
			t.Errorf("%d were dropped of 7, and 5000 bytes kept", dropped)
		}
		close(sink.release)
		_ = log.Close(t.Context())
	})
}

// Block makes a check wait until there is room, or for so long.
func TestBlockWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newStuck()
		log := decisionlog.New(decisionlog.Config{Sinks: sinks(sink), MaxLines: 1, WhenFull: decisionlog.Block, BlockTimeout: time.Second})
		begin := time.Now()
		for range 2 {
			_ = log.Record(t.Context(), record())
		}
		if waited := time.Since(begin); waited != time.Second || log.Dropped() != 1 {
			t.Errorf("waited %v, dropped %d", waited, log.Dropped())
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _ = log.Record(gone, record()); log.Dropped() != 2 {
			t.Errorf("a caller who has gone is waited for; dropped %d", log.Dropped())
		}
		time.AfterFunc(100*time.Millisecond, func() { close(sink.release) })
		begin = time.Now()
		_ = log.Record(t.Context(), record())
		if waited := time.Since(begin); waited != 100*time.Millisecond || log.Dropped() != 2 {
			t.Errorf("waited %v for room, dropped %d", waited, log.Dropped())
		}
		_ = log.Close(t.Context())
		if sink.lines != 2 {
			t.Errorf("%d lines, want 2", sink.lines)
		}
	})
}

// Deny refuses what it cannot record, and then no sink has it.
func TestDenyWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newStuck()
		var other bytes.Buffer
		log := decisionlog.New(decisionlog.Config{Sinks: sinks(&other, sink), MaxLines: 1, WhenFull: decisionlog.Deny})
		if err := log.Record(t.Context(), record()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the first sink has written its line
		err := log.Record(t.Context(), record())
		if authz.ReasonOf(err) != authz.Unrecorded {
			t.Errorf("got %v, want a denial", err)
		}
		close(sink.release)
		synctest.Wait()
		if err := log.Record(t.Context(), record()); err != nil {
			t.Errorf("there is room again: %v", err)
		}
		_ = log.Close(t.Context())
		if n := strings.Count(other.String(), "\n"); n != 2 || sink.lines != 2 {
			t.Errorf("%d and %d lines, want 2", n, sink.lines)
		}
		if err := log.Record(t.Context(), record()); authz.ReasonOf(err) != authz.Unrecorded {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A full disk takes a part, then nothing, and then is emptied.
type disk struct {
	bytes.Buffer
	mu   sync.Mutex
	room int
}

func (d *disk) empty() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = 1 << 20
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(p), d.room)
	d.room -= n
	d.Buffer.Write(p[:n])
	if n < len(p) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// A sink that fails is reported once, gets every line whole when it works again, and keeps no other
// from its lines.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var messages, other bytes.Buffer
		full := &disk{room: 100}
		log := decisionlog.New(decisionlog.Config{Sinks: sinks(full, &other), Logger: slog.New(slog.NewTextHandler(&messages, nil))})
		for range 3 {
			_ = log.Record(t.Context(), record())
			time.Sleep(time.Minute)
		}
		full.empty()
		time.Sleep(time.Minute)
		if err := log.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(messages.String(), "no space left"); n != 1 || !strings.Contains(messages.String(), "written again") {
			t.Errorf("%d messages, want 1: %s", n, messages.String())
		}
		if full.String() != other.String() || strings.Count(other.String(), "\n") != 3 {
			t.Errorf("the disk has\n%s\nthe other sink\n%s", full.String(), other.String())
		}
	})
}

// A sink that fails to the end, or is stuck, does not keep the server from its end.
func TestCloseGivesUp(t *testing.T) {
	for name, sink := range map[string]io.Writer{"failing": &disk{}, "stuck": newStuck()} {
		t.Run(name, func(t *testing.T) {
			log := decisionlog.New(decisionlog.Config{Sinks: sinks(sink)})
			_ = log.Record(t.Context(), record())
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := log.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 records did not reach test") {
				t.Errorf("close says %v", err)
			}
			if s, ok := sink.(*stuck); ok {
				close(s.release)
			}
		})
	}
}

func TestRecordAfterClose(t *testing.T) {
	log := decisionlog.New(decisionlog.Config{Sinks: sinks(io.Discard)})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { _ = log.Record(context.Background(), record()) })
	}
	_ = log.Close(t.Context())
	wait.Wait()
	_ = log.Record(context.Background(), record())
	if log.Dropped() == 0 {
		t.Error("a record that came after Close was not counted")
	}
}

func BenchmarkRecord(b *testing.B) {
	log := decisionlog.New(decisionlog.Config{
		Sinks: sinks(io.Discard), MaxBytes: 256 << 10, Keep: decisionlog.Keep{Claims: []string{"aud", "exp", "iat", "nbf", "jti", "azp", "client_id", "scope", "scp", "roles", "groups"}},
	})
	defer log.Close(context.Background())
	r := record()
	r.Decision.Basis = &authz.Basis{Input: bytes.Repeat([]byte("x"), 400)}
	b.ReportAllocs()
	for b.Loop() {
		if err := log.Record(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}
