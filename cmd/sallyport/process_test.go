package main

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// startProcess runs somebody else's program until the test ends.
func startProcess(t *testing.T, binary string, args ...string) {
	t.Helper()
	written := newOutput()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...)
	command.Stdout, command.Stderr = written, written
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	t.Cleanup(func() {
		command.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(patience):
			command.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", binary, written.tail())
		}
	})
}

// until waits until something holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}
