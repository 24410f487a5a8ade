package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// A candidate that comes as a bundle is compared once it is there, and a new one begins a new sum.
func TestCandidateBundle(t *testing.T) {
	bundles := t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(bundles)))
	defer server.Close()
	build := func(revision string, folders ...string) {
		dir, out := t.TempDir(), newOutput()
		if err := os.WriteFile(filepath.Join(dir, "a.rego"), []byte(allows(folders...)), 0o600); err != nil {
			t.Fatal(err)
		}
		if code := run([]string{"bundle", "build", "--revision", revision, "-o", filepath.Join(bundles, "b.tar.gz"), dir}, out, out); code != 0 {
			t.Fatalf("status %d: %s", code, out)
		}
	}
	s := startTrial(t, fmt.Sprintf("{opa: {services: {r: {url: '%s'}}, bundles: {b: {service: r, resource: b.tar.gz, "+
		"polling: {min_delay_seconds: 1, max_delay_seconds: 1}}}}}", server.URL), nil)
	if text := s.page(t, "/readyz"); !strings.Contains(text, "trouble: the candidate policy is ") {
		t.Errorf("without its bundle /readyz says %s", text)
	}
	build("r1", "open")
	s.awaitState(t, candidateComparing)
	s.allowed(t, "/open/7")
	if status := s.compared(t, 1); status.GetCandidateRevision() != "r1" || status.GetDifferences() != 0 {
		t.Errorf("the status is %v", status)
	}
	build("r2", "other")
	until(t, "the new bundle is there", func() bool { return s.status(t).GetCandidateRevision() == "r2" })
	if status := s.status(t); status.GetCompared() != 0 {
		t.Errorf("of another revision %v", status)
	}
	s.allowed(t, "/open/7")
	if status := s.compared(t, 1); status.GetNewlyDenied() != 1 {
		t.Errorf("the status is %v", status)
	}
}

// A reload of something else keeps the trial, and what was promoted; one of the candidate touches
// nothing of the rest; one of the policy ends the promotion.
func TestCandidateReload(t *testing.T) {
	const candidate = "{files: [candidate.rego], promote: {local: true, decisions: 1, maxDifferences: 9}}"
	s := startTrial(t, candidate, map[string]string{"candidate.rego": allows("new"), "other.rego": allows("other")})
	s.awaitState(t, candidateComparing)
	s.allowed(t, "/open/7")
	s.compared(t, 1)
	before := s.line.stages()
	change := func(old, with string) {
		text, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, "sallyport.yaml", strings.Replace(string(text), old, with, 1))
		s.reload(t)
	}
	change("policy:", "jwt: {leeway: 31s}\npolicy:")
	if now := s.line.stages(); now.candidate != before.candidate || now.engine != before.engine || s.status(t).GetCompared() != 1 {
		t.Error("a reload of the first door began another trial")
	}
	change("candidate.rego", "other.rego")
	now := s.line.stages()
	if now.engine != before.engine || now.decider != before.engine || now.verifier != s.line.stages().verifier || now.log != before.log {
		t.Error("another candidate touched what decides")
	}
	if now.candidate == before.candidate || before.candidate.trial.Load() != nil {
		t.Error("the candidate before is not gone")
	}
	s.awaitState(t, candidateComparing)
	s.allowed(t, "/other/7")
	s.compared(t, 1)
	s.command(t, 0, "promote")
	change("leeway: 31s", "leeway: 32s")
	if !s.allowed(t, "/other/7") || s.status(t).GetState() != candidatePromoted {
		t.Error("a reload of the first door ended the promotion")
	}
	change("live.rego", "candidate.rego")
	if s.allowed(t, "/other/7") || !s.allowed(t, "/new/7") {
		t.Error("another policy in the file does not decide")
	}
	if !strings.Contains(s.messages.String(), "the candidate that was promoted decides no more") {
		t.Errorf("the operator reads:\n%s", s.messages)
	}
	s.awaitState(t, candidateComparing)
	change("\n  candidate:", "\n  memo: {maxBytes: 0}\n  # ")
	if got := s.status(t).GetState(); got != "" {
		t.Errorf("without a candidate it is %s", got)
	}
	s.command(t, exitFailed, "status")
}

// Trials that come and go leave nothing behind.
func TestCandidatesLeaveNothing(t *testing.T) {
	s := startTrial(t, "{files: [candidate.rego]}", map[string]string{"candidate.rego": allows("open")})
	var goroutines int
	for n := range 20 {
		if n == 5 {
			goroutines = runtime.NumGoroutine()
		}
		s.configure(t, fmt.Sprintf("{files: [candidate.rego], sample: %d%%, maxConcurrent: 8}", 50+n))
		s.reload(t)
		s.awaitState(t, candidateComparing)
		s.allowed(t, "/open/7")
	}
	if n := runtime.NumGoroutine(); n > goroutines+10 {
		t.Errorf("%d goroutines after 20 candidates, %d after 5", n, goroutines)
	}
}

// A watcher of differences sees those alone, in the format of the log, and no secret.
func TestWatchDifferences(t *testing.T) {
	s := startTrial(t, "{files: [candidate.rego]}", map[string]string{"candidate.rego": "package envoy.authz\n\n" +
		`allow := {"allowed": false, "reason": sprintf("who has %s", [input.attributes.request.http.path])}`})
	s.awaitState(t, candidateComparing)
	all, differences := startWatch(t, s.admin, &inspectv1.WatchRequest{}), startWatch(t, s.admin, &inspectv1.WatchRequest{Differences: true, PathPrefix: "/open"})
	var both sync.WaitGroup
	both.Go(func() { s.allowed(t, "/elsewhere") })
	both.Go(func() { s.allowed(t, "/open/7?token=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl") })
	both.Wait()
	d := differences().GetDecision()
	if c := d.GetCandidate(); c.GetVerdict() != "newly_denied" || !d.GetAllowed() || c.GetAllowed() || d.GetPath() != "/open/7" || d.GetInput() != nil {
		t.Errorf("watched: %v", d)
	}
	if text := protojson.Format(d); strings.Contains(text, "eyJ") || !strings.Contains(text, "who has") {
		t.Errorf("a secret, or no reason: %s", text)
	}
	for range 2 {
		if d := all().GetDecision(); d.GetCandidate() != nil {
			t.Errorf("who watches decisions sees a difference: %v", d)
		}
	}
	watched := newOutput()
	done := make(chan int, 1)
	go func() {
		done <- run([]string{"watch", "--differences", "--limit", "1", "--admin", s.adminAddr.String()}, watched, watched)
	}()
	code := -1
	until(t, "the command has seen a difference", func() bool {
		s.allowed(t, "/open/8")
		select {
		case code = <-done:
		default:
		}
		return code >= 0
	})
	if text := watched.String(); code != 0 || !strings.Contains(text, `"verdict":"newly_denied"`) && !strings.Contains(text, `"verdict": "newly_denied"`) {
		t.Errorf("watch --differences ended with %d: %s", code, text)
	}
	line := newOutput()
	if err := differenceLine(line, nil)(d); err != nil || !strings.Contains(line.String(), " newly denied  GET shop/open/7 allowed → policy_denied (who has ") {
		t.Errorf("%v, the line is %s", err, line)
	}
}
