package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
)

// BenchmarkReplay replays a log with its own policy and a candidate, both the shipped one with other
// routes: with requests that all differ, and with 1,000 that come again.
func BenchmarkReplay(b *testing.B) {
	const lines = 100_000
	for name, distinct := range map[string]int{"distinct": lines, "repeated": 1000} {
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
			b.ReportMetric(lines*float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}
