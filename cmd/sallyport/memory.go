package main

import (
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// heapFloor is up to which size the heap grows before it is collected, however little of it is alive.
// A server holds few MiB and makes some KiB of garbage a check: collected at twice what is alive, it
// would collect many times a second, for nothing.
const heapFloor = 64 << 20

// fitMemory makes the process live in its container: GOMEMLIMIT is nine tenths of the cgroup's limit,
// where it is not set. (GOMAXPROCS follows the cgroup's without us, and follows its changes.) Where
// GOGC is not set, the collector waits for heapFloor, and beyond it doubles the heap as always. The
// function ends that.
func fitMemory(logger *slog.Logger) (stop func()) {
	limit, err := memlimit.Set()
	if err != nil {
		logger.Warn("no memory limit is known: set GOMEMLIMIT", "error", err)
	}
	if limit != math.MaxInt64 {
		logger.Info("memory limit", "GOMEMLIMIT", limit, "GOMAXPROCS", runtime.GOMAXPROCS(0))
	}
	if _, set := os.LookupEnv("GOGC"); set {
		return func() {}
	}
	return keepHeap(heapFloor)
}

// keepHeap sets, after each collection, when the next one comes. It hears of one by a small object
// that each collects.
func keepHeap(floor uint64) (stop func()) {
	var stopped atomic.Bool
	var hear func(*[16]byte)
	hear = func(*[16]byte) {
		if stopped.Load() {
			return
		}
		debug.SetGCPercent(percent(floor))
		runtime.SetFinalizer(new([16]byte), hear)
	}
	before := debug.SetGCPercent(percent(floor))
	runtime.SetFinalizer(new([16]byte), hear)
	return func() {
		stopped.Store(true)
		debug.SetGCPercent(before)
	}
}

// percent is by how much the heap may grow beyond what was alive after the last collection. What is
// below 4 MiB counts as that much, as it does for the runtime.
func percent(floor uint64) int {
	const usual, least = 100, 4 << 20
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	alive := max(sample[0].Value.Uint64(), least)
	if alive >= floor/2 {
		return usual
	}
	return int((floor - alive) * 100 / alive) //nolint:gosec // at most 100 * floor / 4 MiB
}
