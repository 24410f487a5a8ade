package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// A soak has two instances behind a real Envoy at half of their capacity, with mutual TLS and policy from
// bundles, while everything is replaced again and again. One of the two is restarted; the other is
// watched.
type soak struct {
	*site
	mutual   *mutual
	registry *registry
	rotated  atomic.Int64 // when the issuer last had a new key, in seconds since the beginning
	begun    time.Time
	samples  []sample
	keys     []*tokentest.Key // of the issuer, in use
	happened map[string]int
}

// A sample is what the watched instance held at a moment.
type sample struct{ resident, heap, goroutines, files float64 }

// TestSoak is what hack/soak runs.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Skip("hack/soak runs it: SOAK is no duration")
	}
	s := startSoak(t)
	rate := s.calibrate(t)
	t.Logf("SOAK | %d requests/s for %s, with a restart, a reload, a rotation or a new bundle every few seconds", rate, length)
	s.before = s.upstream.served.Load()
	s.crowd = gather(t, s.mesh.url, rate, s.asked(t))
	whole := s.crowd.begin(s.promised)
	s.run(t, length)
	s.crowd.end(t, whole)
	whole.report(t, "soak")
	t.Logf("SOAK | %v", s.happened)
	s.judge(t)
}

func startSoak(t *testing.T) *soak {
	s := &soak{mutual: newMutual(t), registry: newRegistry(t), happened: make(map[string]int)}
	s.registry.serve(s.registry.signed(t, "r0"))
	settings := append(s.mutual.settings(), s.registry.settings(),
		edit{"jwt:\n", "jwt:\n  leeway: 30s\n"}, edit{"connectionAge: 1s", "connectionAge: 20s"}, edit{"file: decisions.ndjson}", "file: decisions.ndjson, maxSize: 4MiB, maxFiles: 2}"})
	s.site = startSite(t, plan{
		// Sallyport lets the heap grow to 64 MiB before it is collected, in which a leak would hide for long.
		instances: 2, env: []string{"GOGC=100"}, settings: settings, edits: slices.Concat(retrying(t), s.mutual.bootstrap(), []edit{quiet()}),
		prepare: func(site *site) {
			s.mutual.trust(t, site.instances, s.mutual.newest())
			s.mutual.certify(t, site.instances)
		},
	})
	s.begun, s.keys = time.Now(), []*tokentest.Key{s.users.Key("ES256")}
	s.rotated.Store(-60)
	return s
}

// quiet has Envoy log what it answers with 5xx, and no more.
func quiet() edit {
	const logger = "          - name: envoy.access_loggers.stdout\n"
	return edit{logger, logger + "            filter: {status_code_filter: {comparison: {op: GE, value: {default_value: 500, runtime_key: none}}}}\n"}
}

// calibrate measures what this machine can do, and gives half of it; SOAK_RATE is another rate.
func (s *soak) calibrate(t *testing.T) int {
	t.Helper()
	s.crowd.stop()
	if given, err := strconv.Atoi(os.Getenv("SOAK_RATE")); err == nil && given > 0 {
		return given
	}
	full := gather(t, s.mesh.url, 1e6, s.crowd.probes)
	busy := full.begin(nil)
	wait := time.NewTimer(8 * time.Second)
	<-wait.C
	seconds, requests := time.Since(busy.begun).Seconds(), full.count(busy)
	full.stop()
	t.Logf("SOAK | capacity %.0f requests/s", float64(requests)/seconds)
	return max(1, int(float64(requests)/seconds/2))
}

// promised is a denial with 503 of a user whose key came this moment: a check waits 200 ms for the
// issuer's answer, and no longer.
func (s *soak) promised(p probe, status int) bool {
	return status == http.StatusServiceUnavailable && strings.HasPrefix(p.name, "user") && time.Since(s.begun).Seconds() < float64(s.rotated.Load()+5)
}

// run has everything happen in its turn, and takes samples.
func (s *soak) run(t *testing.T, length time.Duration) {
	events := []struct {
		every int // seconds
		name  string
		do    func(n int)
	}{
		{3, "sample", func(int) { s.sample(t) }},
		{7, "bundle", func(n int) { s.registry.serve(s.registry.signed(t, fmt.Sprint("r", n))) }},
		{11, "reload", func(n int) { s.reload(t, n) }},
		{17, "certificates", func(n int) { s.mutual.rotate(t, s.instances, n) }},
		{23, "restart", func(n int) { s.restart(t, n) }},
		{31, "key", func(int) { s.rotate(t) }},
		{37, "unsigned bundle", func(int) { s.registry.serve(s.registry.build(t, everybody, "bad", nil)) }},
		{60, "report", func(n int) { s.progress(t, n+1) }},
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	s.begun = time.Now()
	for second := 1; time.Since(s.begun) < length; second++ {
		<-tick.C
		for _, e := range events {
			if second%e.every == 0 {
				e.do(second/e.every - 1)
				s.happened[e.name]++
			}
		}
		if t.Failed() || s.crowd.failing() {
			return
		}
	}
}

// reload changes the first door and the line; now and then the file of the watched instance is broken.
func (s *soak) reload(t *testing.T, n int) {
	for which, i := range s.instances {
		text, _, _ := strings.Cut(i.configuration(t), "request:")
		text = strings.Replace(text, fmt.Sprintf("leeway: %ds", 30+(n+1)%2), fmt.Sprintf("leeway: %ds", 30+n%2), 1)
		timeout := fmt.Sprintf("%ds", 10+n%3)
		if which == 0 && n%5 == 4 {
			timeout = "soon"
		}
		i.configure(t, text+"request: {timeout: "+timeout+"}\n")
	}
}

// restart restarts the instance that is not watched: it is told to end, or killed.
func (s *soak) restart(t *testing.T, n int) {
	i := s.instances[1]
	if n%2 == 0 {
		i.terminate(t)
	} else {
		i.kill(t)
	}
	i.start(t)
}

// rotate publishes a new key, by which users have their tokens from now on, and withdraws the one that
// nobody uses any more.
func (s *soak) rotate(t *testing.T) {
	key, err := s.users.Rotate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	s.rotated.Store(int64(time.Since(s.begun).Seconds()))
	if s.keys = append(s.keys, key); len(s.keys) > 2 {
		s.users.Withdraw(s.keys[0])
		s.keys = s.keys[1:]
	}
}

// sample notes what the watched instance holds.
func (s *soak) sample(t *testing.T) {
	t.Helper()
	i := s.instances[0]
	_, page := i.get(t, "/metrics")
	s.samples = append(s.samples, sample{
		resident: float64(i.resident(t)), heap: total(page, "go_memory_used_bytes") / (1 << 20),
		goroutines: total(page, "go_goroutines"), files: float64(i.files(t)),
	})
}

// A measure is one of the numbers of a sample, and by how much it may grow.
type measure struct {
	name  string
	of    func(sample) float64
	part  float64 // of what it was
	fixed float64 // and so much besides
}

func measures() []measure {
	return []measure{
		{"resident MiB", func(s sample) float64 { return s.resident }, 0.1, 8},
		{"Go memory MiB", func(s sample) float64 { return s.heap }, 0.1, 8},
		{"goroutines", func(s sample) float64 { return s.goroutines }, 0.1, 8},
		{"files", func(s sample) float64 { return s.files }, 0.1, 8},
	}
}

// progress tells of the last minute.
func (s *soak) progress(t *testing.T, minute int) {
	t.Helper()
	last := s.samples[max(0, len(s.samples)-20):]
	line := fmt.Sprintf("SOAK | minute %d | %d let in", minute, s.allowed.Load())
	for _, m := range measures() {
		line += fmt.Sprintf(" | %s %.0f", m.name, median(last, m.of))
	}
	t.Log(line)
}

// judge compares the last third of the time with the third after the first sixth, median with median:
// what is needed is there by then, and what still grows is lost.
func (s *soak) judge(t *testing.T) {
	t.Helper()
	rest := s.samples[len(s.samples)/6:]
	third := len(rest) / 3
	if third < 5 {
		t.Fatalf("%d samples are too few", len(s.samples))
	}
	for _, m := range measures() {
		before, after := median(rest[:third], m.of), median(rest[len(rest)-third:], m.of)
		t.Logf("SOAK | %s: %.1f, then %.1f", m.name, before, after)
		if after > before*(1+m.part)+m.fixed {
			t.Errorf("%s grew from %.1f to %.1f", m.name, before, after)
		}
	}
}

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
