package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// The collector waits until the heap has the floor's size, and keeps to its habit beyond it.
func TestKeepHeap(t *testing.T) {
	const floor = 64 << 20
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	defer keepHeap(floor)()
	collections := func() uint32 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.NumGC
	}
	runtime.GC()
	runtime.GC() // the finalizer of the first has run
	start := collections()
	var sink []byte
	for range 4 * floor >> 10 {
		sink = make([]byte, 1<<10)
	}
	runtime.KeepAlive(sink)
	if n := collections() - start; n < 2 || n > 12 {
		t.Errorf("%d collections for four floors of garbage", n)
	}
	ballast := make([]byte, 2*floor)
	runtime.GC()
	if p := percent(floor); p != 100 {
		t.Errorf("percent %d above the floor", p)
	}
	runtime.KeepAlive(ballast)
}
