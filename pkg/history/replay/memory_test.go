package replay_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
)

// A watch denies everything, and notes how large the heap grows.
type watch struct {
	calls atomic.Uint64
	mu    sync.Mutex
	most  uint64
}

func (w *watch) Again(context.Context, *history.Record) (authz.Decision, error) {
	if w.calls.Add(1)%2000 == 0 {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		w.mu.Lock()
		w.most = max(w.most, now.HeapAlloc)
		w.mu.Unlock()
	}
	return authz.Decision{}, nil
}

// peak is the largest heap while a log of n lines is replayed, of which each is a group of its own.
func peak(t testing.TB, n int) uint64 {
	t.Helper()
	from, to := io.Pipe()
	go func() {
		for i := range n {
			fmt.Fprintf(to, `{"decision_id":"id-%d","timestamp":"2026-11-24T03:33:12Z","allowed":true,"reason":"allowed","entrypoint":"data.a.allow","method":"GET","path":"/x",`+
				`"tokens":{"users":{"status":"valid","sub":"user %d"}},"input":{"parsed_path":["x","%d"]},"complete":true}`+"\n", i, i, i)
		}
		_ = to.Close() // it never fails
	}()
	log, err := history.Open(from, "-")
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{}
	r, err := replay.Run(t.Context(), replay.Config{Log: log, Candidate: w, MaxGroups: 1000})
	if err != nil || r.NewlyDenied != int64(n) || len(r.Groups) != 1000 || r.Beyond[authz.NewlyDenied] != int64(n)-1000 {
		t.Fatalf("%+v, %v", r, err)
	}
	return w.most
}

const maxHeap = 48 << 20

// TestMemory replays a log that would not fit; with -bench Memory -benchtime 1000000x a longer one.
func TestMemory(t *testing.T) {
	if most := peak(t, 60_000); most > maxHeap || most == 0 {
		t.Errorf("%d MiB of heap", most>>20)
	}
}

func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
	}
	most := peak(b, max(b.N, 2000))
	b.ReportMetric(float64(most)/(1<<20), "MiB-heap")
	if most > maxHeap {
		b.Errorf("%d MiB of heap", most>>20)
	}
}
