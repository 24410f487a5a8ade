package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
)

// BenchmarkReplay replays a log with its own policy and a candidate, both the shipped one with other
// routes: with requests that all differ, and with 500 that come again. What it reports
// is by processor time, as on two processors that do nothing else.
func BenchmarkReplay(b *testing.B) {
	const lines = 20_000
	for name, distinct := range map[string]int{"distinct": lines, "repeated": 500} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			recorded := writeConfig(b, dir, "recorded.yaml", replayRoutes)
			candidate := writeConfig(b, dir, "candidate.yaml", strings.Replace(replayRoutes, "roles: [admin]", "roles: [owner]", 1))
			file := filepath.Join(dir, "decisions.ndjson")
			newRecordedWorld(b, recorded).writeLog(b, file, lines, distinct)
			info, err := os.Stat(file)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(info.Size())
			begun := processorTime(b)
			for b.Loop() {
				policies, err := loadReplayed(b.Context(), candidate, []string{recorded})
				if err != nil {
					b.Fatal(err)
				}
				log, err := history.Open(nil, file)
				if err != nil {
					b.Fatal(err)
				}
				r, err := replay.Run(b.Context(), replay.Config{Log: log, Candidate: policies.candidate, Recorded: policies.recorded})
				if err != nil || r.Decisions != lines || r.Proof.Reproduced != lines || r.NewlyDenied == 0 {
					b.Fatalf("%+v, %v", r, err)
				}
				policies.close()
			}
			b.ReportMetric(2*lines*float64(b.N)/(processorTime(b)-begun).Seconds(), "decisions/s-on-2")
		})
	}
}

// processorTime is what the process has used of processors.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
