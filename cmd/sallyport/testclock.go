package main

import (
	"bytes"
	"sync"
	"time"
)

// A clock tells the time that was set, or else the machine's.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return time.Now()
	}
	return c.at
}

// prints hold what the policy printed since it was last taken.
type prints struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (p *prints) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *prints) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := bytes.Clone(p.text.Bytes())
	p.text.Reset()
	return out
}
