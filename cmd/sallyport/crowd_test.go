package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A probe is a request whose right answer is known.
type probe struct {
	name   string
	path   string
	header string // where the token is; "": Authorization
	token  signer // nil: none
	want   int
	also   int // an answer that is documented at any time as well; 0: none
}

// A crowd asks probes at a steady rate through Envoy, one after the other and over again, and judges
// the answers.
type crowd struct {
	target string
	probes []probe
	rate   int // requests a second

	next    atomic.Int64
	allowed atomic.Int64
	stop    func() // ends it, and waits

	mu  sync.Mutex
	now *spell
}

// crowdSize is how many requests are under way, at most.
const crowdSize = 16

// A spell is a time in which one fault goes on, or none.
type spell struct {
	excuse func(p probe, status int) bool // is an answer that is not the right one documented? nil: none is

	open      int // requests under way
	begun     time.Time
	requests  int
	allowed   int
	excused   map[string]int // by probe and status
	wrong     []string       // got in, and must not
	broken    []string       // should have got in or been denied otherwise, or got no answer
	latencies []time.Duration
	last      time.Time // when the last excused answer came
	streak    int       // right answers since
}

// always excuses a status of every probe.
func always(status int) func(probe, int) bool {
	return func(_ probe, got int) bool { return got == status }
}

// of excuses a status of the probes whose name begins so.
func excused(prefix string, status int) func(probe, int) bool {
	return func(p probe, got int) bool { return strings.HasPrefix(p.name, prefix) && got == status }
}

// gather starts a crowd, which stays until the test ends.
func gather(t *testing.T, url string, rate int, probes []probe) *crowd {
	t.Helper()
	c := &crowd{target: url, probes: probes, rate: rate, now: newSpell(nil)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	begin := time.Now()
	for range crowdSize {
		all.Go(func() { c.member(ctx, begin) })
	}
	c.stop = func() { cancel(); all.Wait() }
	t.Cleanup(c.stop)
	return c
}

func newSpell(excuse func(probe, int) bool) *spell {
	return &spell{excuse: excuse, begun: time.Now(), excused: make(map[string]int)}
}

// member takes the next request that is due.
func (c *crowd) member(ctx context.Context, begin time.Time) {
	client := http1()
	defer client.CloseIdleConnections()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		n := int(c.next.Add(1)) - 1
		timer.Reset(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(c.rate))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		p, s := c.probes[n%len(c.probes)], c.enter()
		sent := time.Now()
		status, err := p.send(ctx, client, c.target)
		if ctx.Err() != nil {
			return
		}
		c.leave(s, p, status, err, time.Since(sent))
	}
}

func (p probe) send(ctx context.Context, client *http.Client, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+p.path, nil)
	if err != nil {
		return 0, err
	}
	if p.token != nil {
		token, err := p.token()
		if err != nil {
			return 0, err
		}
		if p.header == "" {
			req.Header.Set("Authorization", "Bearer "+token)
		} else {
			req.Header.Set(p.header, token)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && p.token != nil && p.header == "" && resp.StatusCode == http.StatusOK && !strings.Contains(string(text), `"X-User":["alice"]`) {
		err = errors.New("let in, and not as alice: " + string(text)) // the upstream says what reached it
	}
	return resp.StatusCode, err
}

func (c *crowd) enter() *spell {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.open++
	return c.now
}

// leave judges an answer. Where another spell has begun since it was asked, either may excuse it.
func (c *crowd) leave(s *spell, p probe, status int, err error, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.open--
	s.requests++
	s.latencies = append(s.latencies, took)
	if status == http.StatusOK {
		s.allowed++
		c.allowed.Add(1)
	}
	switch {
	case err != nil:
		s.broken = append(s.broken, p.name+": "+err.Error())
	case status == p.want:
		s.streak++
	case status == p.also || s.excuses(p, status) || c.now.excuses(p, status):
		s.excused[fmt.Sprintf("%s: %d", p.name, status)]++
		s.last, s.streak = time.Now(), 0
	case status == http.StatusOK:
		s.wrong = append(s.wrong, p.name)
	default:
		s.broken = append(s.broken, fmt.Sprintf("%s: status %d, want %d", p.name, status, p.want))
	}
}

func (s *spell) excuses(p probe, status int) bool { return s.excuse != nil && s.excuse(p, status) }

// failing tells whether an answer was not right, and not excused.
func (c *crowd) failing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.now.wrong)+len(c.now.broken) > 0
}

// during has something happen, with a while before and after it, and tells what became of the requests of that time: nobody got in
// who must not, and nobody was denied but as excused.
func (c *crowd) during(t *testing.T, what string, excuse func(probe, int) bool, happen func()) *spell {
	t.Helper()
	s := c.begin(excuse)
	happen()
	c.while(t, s)
	c.end(t, s)
	s.report(t, what)
	return s
}

// begin begins a spell.
func (c *crowd) begin(excuse func(probe, int) bool) *spell {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = newSpell(excuse)
	return c.now
}

// end ends a spell, and waits for the answers to all that was asked in it.
func (c *crowd) end(t *testing.T, s *spell) {
	t.Helper()
	c.begin(s.excuse)
	until(t, "every request is answered", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return s.open == 0
	})
}

// while waits until every probe was asked twice more.
func (c *crowd) while(t *testing.T, s *spell) {
	t.Helper()
	more := c.count(s) + 2*len(c.probes)
	until(t, "more requests are answered", func() bool { return c.count(s) >= more })
}

func (c *crowd) count(s *spell) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.requests
}

// recovers ends a fault, waits until every probe has its right answer thrice in a row, and tells how
// long the last excused answer came after the end.
func (c *crowd) recovers(t *testing.T, what string, excuse func(probe, int) bool, end func()) time.Duration {
	t.Helper()
	var ended time.Time
	s := c.during(t, what, excuse, func() {
		end()
		ended = time.Now()
		c.mu.Lock()
		c.now.streak = 0
		c.mu.Unlock()
		until(t, "all answers are right again", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.now.streak >= 3*len(c.probes)
		})
	})
	return max(0, s.last.Sub(ended))
}

// report tells what came of a spell, and fails the test by what must not be.
func (s *spell) report(t *testing.T, what string) {
	t.Helper()
	slices.Sort(s.latencies)
	number := 0
	for _, n := range s.excused {
		number += n
	}
	t.Logf("FAULT | %s | %d requests in %.1f s, %d let in, %d wrongly, %d answered otherwise as documented, %d failed | p50 %s, p99 %s, longest %s", what,
		s.requests, time.Since(s.begun).Seconds(), s.allowed, len(s.wrong), number, len(s.broken), s.percentile(50), s.percentile(99), s.percentile(100))
	for _, which := range slices.Sorted(maps.Keys(s.excused)) {
		t.Logf("  documented: %s, %d times", which, s.excused[which])
	}
	if s.requests == 0 {
		t.Errorf("%s: nobody asked", what)
	}
	if len(s.wrong) > 0 {
		t.Errorf("%s: %d got in that must not, such as %q", what, len(s.wrong), s.wrong[0])
	}
	if len(s.broken) > 0 {
		t.Errorf("%s: %d of %d failed, such as %q", what, len(s.broken), s.requests, s.broken[:min(len(s.broken), 5)])
	}
}

func (s *spell) percentile(p int) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	return s.latencies[min(p*len(s.latencies)/100, len(s.latencies)-1)].Round(100 * time.Microsecond)
}
