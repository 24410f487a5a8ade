package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results are those of a whole run, as results.json has them.
type results struct {
	Started time.Time
	Machine string
	Turns   int
	Turn    time.Duration
	Mixes   []result
	Envoy   []envoyResult `json:",omitempty"`
}

func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), strings.Trim(name, "\t: "), runtime.Version())
		}
	}
	return fmt.Sprintf("%d cores, %s", runtime.NumCPU(), runtime.Version())
}

// write makes results.json, and the page beside it.
func (r results) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	page := filepath.Join(dir, "report.html")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "results.json"), text, 0o644), os.WriteFile(page, r.page(), 0o644)); err != nil {
		return err
	}
	fmt.Println("\nWritten:", page)
	return nil
}

// A spread is the least, the middle and the greatest of the turns.
type spread struct{ Min, Median, Max float64 }

func newSpread(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1]}
}

func microseconds(ds []time.Duration) []float64 {
	out := make([]float64, len(ds))
	for i, d := range ds {
		out[i] = float64(d.Nanoseconds()) / 1000
	}
	return out
}

// ratios are a server's turns over those of the first server in the same turn: what slows the machine
// down slows both.
func (r result) ratios(s serverResult) spread {
	out := make([]float64, len(s.CPU))
	for i := range s.CPU {
		out[i] = float64(s.CPU[i]) / float64(r.Servers[0].CPU[i])
	}
	return newSpread(out)
}

func (r result) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s: %s\n", r.Mix, r.About)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "server\tCPU µs/check\tratio to %s\tleast\tmost\tchecks/s\t", r.Servers[0].Name)
	for _, l := range r.Servers[0].Latencies {
		fmt.Fprintf(table, "p50@%d/s\tp99@%d/s\t", l.Rate, l.Rate)
	}
	fmt.Fprintln(table)
	for _, s := range r.Servers {
		ratio := r.ratios(s)
		fmt.Fprintf(table, "%s\t%.1f\t%.2f\t%.2f\t%.2f\t%.0f\t", s.Name,
			newSpread(microseconds(s.CPU)).Median, ratio.Median, ratio.Min, ratio.Max, newSpread(s.Rate).Median)
		for _, l := range s.Latencies {
			fmt.Fprintf(table, "%s\t%s\t", short(l.P50), short(l.P99))
		}
		fmt.Fprintln(table)
	}
	table.Flush()
}

// short is a duration with about three digits.
func short(d time.Duration) string {
	unit := time.Microsecond
	for unit*1000 <= d {
		unit *= 10
	}
	return d.Round(unit).String()
}
