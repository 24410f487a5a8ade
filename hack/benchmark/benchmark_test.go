package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A benchmark of servers that answer wrongly says nothing: every mix is asked of every server, and
// check refuses any answer but the right one.
func TestEveryServerAnswersRightly(t *testing.T) {
	dir := t.TempDir()
	sallyport := filepath.Join(dir, "sallyport")
	build := exec.Command("go", "build", "-o", sallyport, "./cmd/sallyport")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Sallyport: %v\n%s", err, out)
	}
	self := filepath.Join(dir, "benchmark")
	if out, err := exec.Command("go", "build", "-o", self, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the benchmark: %v\n%s", err, out)
	}
	run := exec.Command(self, "--sallyport", sallyport, "--out", dir, "--profile", dir, "--turns", "1", "--turn", "200ms", "--rates=false")
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, m := range mixes() {
		if !strings.Contains(string(out), m.name+": ") {
			t.Errorf("mix %s is not in the report:\n%s", m.name, out)
		}
	}
	for _, name := range []string{"report.html", "results.json", "cpu.pprof", "mem.pprof"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s was not written: %v", name, err)
		}
	}
}

// A stall of 100 ms is felt by every call that was due meanwhile, not by the one that met it alone.
func TestStallIsFeltByAll(t *testing.T) {
	stall := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(stall) })
	sorted, err := pace(1000, 200*time.Millisecond, func(int) error { <-stall; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got := percentile(sorted, 75); got < 30*time.Millisecond {
		t.Errorf("a quarter of the calls waited %v or more, want 50 ms about", got)
	}
}

func TestPaceStopsAtAnError(t *testing.T) {
	failed := errors.New("failed")
	if _, err := pace(100, 50*time.Millisecond, func(int) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestUnknownMix(t *testing.T) {
	err := options{mixes: "jwt,no-such"}.run(context.Background())
	if err == nil || !strings.Contains(err.Error(), `"no-such"`) {
		t.Errorf("got %v", err)
	}
}
