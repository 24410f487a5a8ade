package main

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stepping is added to package time for this test: the wall clock of the process is off by so many seconds
// as the first eight bytes of a file say. The monotonic clock is not, as with a real step.
const stepping = `package time

import "syscall"

var testStep = openTestStep()

func openTestStep() []byte {
	name, _ := syscall.Getenv("CLOCK_STEP")
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("CLOCK_STEP: " + err.Error())
	}
	bytes, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("CLOCK_STEP: " + err.Error())
	}
	return bytes
}

func Now() Time {
	t := unstepped()
	var seconds uint64
	for i := range 8 {
		seconds |= uint64(testStep[i]) << (8 * i)
	}
	t.addSec(int64(seconds))
	return t
}
`

// A steppedClock is that of an instance.
type steppedClock struct{ file string }

func (c *steppedClock) set(t *testing.T, offset time.Duration) {
	t.Helper()
	file, err := os.OpenFile(c.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(int64(offset/time.Second))), 0); err != nil {
		t.Fatal(err)
	}
}

// buildStepping builds a Sallyport whose clock can be stepped, and touches nothing of Go's own files.
func buildStepping(t *testing.T) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const now = "\nfunc Now() Time {\n"
	if strings.Count(string(text), now) != 1 {
		t.Fatalf("%s has not one Now: this test must be fitted to this version of Go", source)
	}
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "time.go"), strings.Replace(string(text), now, "\nfunc unstepped() Time {\n", 1))
	writeText(t, filepath.Join(dir, "step.go"), stepping)
	overlay := filepath.Join(dir, "overlay.json")
	writeText(t, overlay, fmt.Sprintf(`{"Replace": {%q: %q, %q: %q}}`,
		filepath.Join(source, "time.go"), filepath.Join(dir, "time.go"), filepath.Join(source, "step.go"), filepath.Join(dir, "step.go")))
	binary := filepath.Join(dir, "sallyport")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary
}

// The clock of an instance is stepped by an hour, forwards and back, and backwards and forth. Tokens expire
// early or late by as much, and that is all: once the clock is right every answer is, keys and bundles are
// fetched in the meantime, and nothing stops.
func TestEnvoyFaultClock(t *testing.T) {
	t.Parallel()
	onlyWhereAsked(t) // it builds Go's library anew, which takes minutes
	c := &steppedClock{file: filepath.Join(t.TempDir(), "step")}
	c.set(t, 0)
	r := newRegistry(t)
	r.serve(r.signed(t, "r1"))
	binary := buildStepping(t)
	update := func(s *site, revision string) {
		r.serve(r.signed(t, revision))
		s.instances[0].says(t, "/metrics", `sallyport_policy_revision="`+revision)
	}
	s := startSite(t, plan{settings: []edit{r.settings()}, probes: (*site).datedProbes, prepare: func(s *site) {
		s.instances[0].binary, s.instances[0].env = binary, []string{"CLOCK_STEP=" + c.file}
	}})
	for n, step := range []struct {
		what   string
		offset time.Duration
		excuse func(probe, int) bool
	}{
		{"clock an hour ahead", time.Hour, excused("valid for half an hour", http.StatusUnauthorized)},
		{"clock an hour behind", -time.Hour, func(p probe, got int) bool {
			return p.name == "new" && got == http.StatusUnauthorized || p.name == "expired half an hour ago" && got == http.StatusOK
		}},
	} {
		spell := s.during(t, step.what, step.excuse, func() {
			c.set(t, step.offset)
			update(s, fmt.Sprint("stepped-", n))
			s.wish(t, http.StatusUnauthorized)
		})
		if len(spell.excused) == 0 {
			t.Error("the step has no effect")
		}
		took := s.recovers(t, step.what+" is right again", step.excuse, func() { c.set(t, 0) })
		t.Logf("all answers right %s after the clock was", took.Round(time.Millisecond))
		s.during(t, "after "+step.what, nil, func() { update(s, fmt.Sprint("right-", n)) })
	}
}

// datedProbes are tokens of different age.
func (s *site) datedProbes(t *testing.T) []probe {
	t.Helper()
	from := func(issued, expires time.Duration) signer {
		return func() (string, error) {
			now := time.Now()
			return s.users.Token("orders", map[string]any{"roles": []string{"clerk"}, "iat": now.Add(issued).Unix(), "nbf": now.Add(issued).Unix(), "exp": now.Add(expires).Unix()})
		}
	}
	return []probe{
		{name: "public", path: "/public/page", want: http.StatusOK},
		{name: "old, valid for hours", path: "/orders/1", token: from(-3*time.Hour, 3*time.Hour).lasting(), want: http.StatusOK},
		{name: "valid for half an hour", path: "/orders/2", token: from(-2*time.Hour, 30*time.Minute).lasting(), want: http.StatusOK},
		{name: "new", path: "/orders/3", token: from(0, 3*time.Hour).lasting(), want: http.StatusOK},
		{name: "expired two hours ago", path: "/orders/4", token: from(-4*time.Hour, -2*time.Hour).lasting(), want: http.StatusUnauthorized},
		{name: "expired half an hour ago", path: "/orders/5", token: from(-4*time.Hour, -30*time.Minute).lasting(), want: http.StatusUnauthorized},
		{name: "no token", path: "/orders/6", want: http.StatusUnauthorized},
		{name: "without the role", path: "/orders/7", token: signs(s.users, map[string]any{"iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(4 * time.Hour).Unix()}), want: http.StatusForbidden},
	}
}
