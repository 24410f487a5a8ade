package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

// An output keeps what a process writes, and lets a test wait for a line of it.
type output struct {
	mu    sync.Mutex
	text  []byte
	grown chan struct{} // closed by the next write
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	close(o.grown)
	o.grown = make(chan struct{})
	return len(p), nil
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}

// tail is the end of it, for a failed test.
func (o *output) tail() string {
	const most = 4000
	text := o.String()
	return text[max(0, len(text)-most):]
}

// read returns what was written, and a channel that closes when there is more.
func (o *output) read() (text string, grown <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.grown
}

// await waits for a line of JSON that is the one wanted.
func await[T any](t *testing.T, o *output, wanted func(T) bool) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		text, grown := o.read()
		for line := range strings.Lines(text) {
			var entry T
			if json.Unmarshal([]byte(line), &entry) == nil && wanted(entry) {
				return entry
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("the line that was waited for did not come; there is:\n%s", text)
		}
	}
}
