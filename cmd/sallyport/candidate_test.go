package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/history"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// A trialled server has a policy and one on trial, in a directory that the test writes.
type trialled struct {
	*sallyport
	dir   string
	file  string
	conn  *grpc.ClientConn // to ask for checks
	admin *grpc.ClientConn
}

const trialFile = `
listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0", drain: {delay: 0s}}
policy:
  files: [live.rego]
  candidate: CANDIDATE
decisionLog: {stdout: false, file: decisions.ndjson}
`

// allows is a policy that lets requests below some folders through.
func allows(folders ...string) string {
	text := "package envoy.authz\n\ndefault allow := false\n"
	for _, folder := range folders {
		text += fmt.Sprintf("\nallow if input.parsed_path[0] == %q\n", folder)
	}
	return text
}

// startTrial runs the policy that lets "open" through, beside a candidate.
func startTrial(t *testing.T, candidate string, files map[string]string) *trialled {
	t.Helper()
	s := &trialled{sallyport: &sallyport{decisions: newOutput(), messages: newOutput()}, dir: t.TempDir()}
	s.file = filepath.Join(s.dir, "sallyport.yaml")
	s.write(t, "live.rego", allows("open"))
	for name, text := range files {
		s.write(t, name, text)
	}
	s.configure(t, candidate)
	cfg, err := config.Load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	s.run(t, cfg)
	s.line.reloader.file = s.file // which only the test looks at
	s.conn = dialPlain(t, s.addr.String())
	s.dialAdmin(t)
	return s
}

func (s *trialled) dialAdmin(t *testing.T) {
	t.Helper()
	s.admin = dialPlain(t, s.adminAddr.String())
}

func dialPlain(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (s *trialled) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *trialled) configure(t *testing.T, candidate string) {
	t.Helper()
	s.write(t, "sallyport.yaml", strings.Replace(trialFile, "CANDIDATE", candidate, 1))
}

// reload has the server take the file over.
func (s *trialled) reload(t *testing.T) {
	t.Helper()
	s.line.reloader.look(t.Context())
	if err := s.line.reloader.trouble(); err != nil {
		t.Fatal(err)
	}
}

// allowed asks once.
func (s *trialled) allowed(t *testing.T, path string) bool {
	t.Helper()
	answer, err := auth.NewAuthorizationClient(s.conn).Check(context.WithoutCancel(t.Context()), &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{Method: "GET", Host: "shop", Path: path}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetStatus().GetCode() == 0
}

func (s *trialled) status(t *testing.T) *inspectv1.StatusResponse {
	t.Helper()
	out, err := askStatus(t.Context(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// awaitState waits until the candidate is what it should be.
func (s *trialled) awaitState(t *testing.T, state string) {
	t.Helper()
	var last *inspectv1.StatusResponse
	defer func() {
		if t.Failed() {
			t.Logf("the candidate is %v", last)
		}
	}()
	until(t, "the candidate is "+state, func() bool { last = s.status(t); return last.GetState() == state })
}

// compared waits until as many checks were compared.
func (s *trialled) compared(t *testing.T, n uint64) *inspectv1.StatusResponse {
	t.Helper()
	until(t, fmt.Sprintf("%d checks are compared", n), func() bool { return s.status(t).GetCompared() >= n })
	return s.status(t)
}

// command runs a subcommand of candidate against the server.
func (s *trialled) command(t *testing.T, want int, args ...string) string {
	t.Helper()
	out := newOutput()
	if got := run(append(append([]string{"candidate"}, args...), "--admin", s.adminAddr.String()), out, out); got != want {
		t.Errorf("candidate %s ended with %d, want %d:\n%s", strings.Join(args, " "), got, want, out)
	}
	return out.String()
}

// A candidate is compared, is refused for its differences and for too few decisions, decides once
// promoted, and no longer once dropped. The log has its differences, and a reader of checks skips them.
func TestCandidate(t *testing.T) {
	s := startTrial(t, "{files: [candidate.rego], promote: {local: true, decisions: 4, maxDifferences: 2}}",
		map[string]string{"candidate.rego": allows("new")})
	s.awaitState(t, candidateComparing)
	s.allowed(t, "/elsewhere")
	if text := s.command(t, exitPending, "promote"); !strings.Contains(text, "of 4 decisions were compared") {
		t.Errorf("promotion is refused with %s", text)
	}
	s.allowed(t, "/new/7")
	s.allowed(t, "/open/7")
	s.allowed(t, "/elsewhere")
	status := s.compared(t, 4)
	if status.GetNewlyAllowed() != 1 || status.GetNewlyDenied() != 1 || status.GetDifferences() != 2 || status.GetMissing() != "" {
		t.Errorf("the status is %v", status)
	}
	if first := status.GetGroups()[0]; first.GetVerdict() != "newly_allowed" || first.GetRoute() != "GET /new/…" || first.GetSampleDecisionId() == "" {
		t.Errorf("the first group is %v", first)
	}
	for _, want := range []string{"It may be promoted.", "newly allowed  1\n", "newly denied", "GET /open/…", "policy_denied → allowed"} {
		if text := s.command(t, 0, "status"); !strings.Contains(text, want) {
			t.Errorf("the status lacks %q:\n%s", want, text)
		}
	}
	if text := s.command(t, exitFailed, "promote", "--revision", "another"); !strings.Contains(text, "and not another") {
		t.Errorf("the promotion of what nobody has seen ends with %s", text)
	}

	text := s.command(t, 0, "promote")
	if !strings.Contains(text, "move files from policy.candidate to policy, and take away policy.candidate") {
		t.Errorf("promoted, with %s", text)
	}
	if !s.allowed(t, "/new/7") || s.allowed(t, "/open/7") {
		t.Error("the candidate was promoted, and does not decide")
	}
	if text := s.page(t, "/readyz"); !strings.Contains(text, "ok\ntrouble: the candidate policy") || !strings.Contains(text, "decides since") {
		t.Errorf("/readyz says %s", text)
	}
	if text := s.scrape(t); !strings.Contains(text, `sallyport_candidate_info{`) || !strings.Contains(text, `sallyport_candidate_state="promoted"`) ||
		!strings.Contains(text, `sallyport_candidate_comparisons_total{sallyport_candidate_verdict="newly_allowed"} 1`) {
		t.Errorf("/metrics lacks the promotion or the comparison:\n%s", text)
	}
	if text := s.command(t, 0, "promote"); !strings.Contains(text, "decides already") {
		t.Errorf("promoted again, with %s", text)
	}

	s.command(t, 0, "drop")
	if s.allowed(t, "/new/7") || !s.allowed(t, "/open/7") {
		t.Error("the candidate was dropped, and decides")
	}
	if got := s.status(t).GetState(); got != candidateDropped {
		t.Errorf("it is %s", got)
	}
	s.command(t, exitFailed, "drop")
	s.stop()
	s.compareLog(t)
}

// compareLog looks for the two differences in the log, each after its check.
func (s *trialled) compareLog(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "decisions.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	checks, got := map[string]string{}, map[string]string{}
	for line := range bytes.Lines(text) {
		r, err := history.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if r.Candidate == nil {
			checks[r.ID] = r.Path
			continue
		}
		if checks[r.ID] != r.Path || r.Input != nil {
			t.Errorf("a difference before its check, or with its input: %s", line)
		}
		verdict, _, _ := strings.Cut(string(r.Candidate), `,"allowed"`)
		got[r.Path] = verdict
	}
	want := map[string]string{"/new/7": `{"verdict":"newly_allowed"`, "/open/7": `{"verdict":"newly_denied"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences in the log (-want +got):\n%s", diff)
	}
	log, err := history.Open(nil, filepath.Join(s.dir, "decisions.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	if err := log.Each(t.Context(), 1, func(int, history.Place, *history.Record) error { read++; return nil }); err != nil {
		t.Fatal(err)
	}
	if read != len(checks) {
		t.Errorf("%d records were read of %d checks", read, len(checks))
	}
}

// A broken candidate hurts nobody: it is shown, and taken once it is mended.
func TestCandidateBroken(t *testing.T) {
	for name, tc := range map[string]struct{ candidate, rego, want string }{
		"no Rego":     {"{files: [candidate.rego]}", "package envoy.authz\n\nallow if {", "candidate.rego:3"},
		"no entry":    {"{files: [candidate.rego], path: a/b}", allows("open"), "a.b"},
		"no file":     {"{files: [missing.rego]}", "", "missing.rego"},
		"the network": {"{files: [candidate.rego]}", "package envoy.authz\n\nallow if http.send({\"url\": \"http://a\", \"method\": \"GET\"}).status_code == 200\n", "without policy.candidate.allowNet"},
		"OPA's":       {"{opa: {services: {a: {url: '::'}}, bundles: {b: {service: c}}}}", "", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTrial(t, tc.candidate, map[string]string{"candidate.rego": tc.rego})
			s.awaitState(t, candidateBroken)
			if !s.allowed(t, "/open/7") {
				t.Error("the policy that decides was hurt")
			}
			if text := s.page(t, "/readyz"); !strings.Contains(text, "trouble: the candidate policy is broken: ") || !strings.Contains(text, tc.want) {
				t.Errorf("/readyz says %s, want %q", text, tc.want)
			}
			if text := s.scrape(t); !strings.Contains(text, `sallyport_candidate_state="broken"`) {
				t.Error("/metrics does not say that it is broken")
			}
			s.command(t, exitFailed, "status")
			out := newOutput()
			if code := run([]string{"validate", s.file}, out, out); code != exitFailed || !strings.Contains(out.String(), "policy.candidate") || !strings.Contains(out.String(), tc.want) {
				t.Errorf("validate ended with %d: %s", code, out)
			}
			if tc.rego != "" && name == "no Rego" {
				s.write(t, "candidate.rego", allows("open"))
				s.awaitState(t, candidateComparing)
			}
		})
	}
}

// A candidate that hangs, as far as Rego lets it, costs no check: they are answered, and its deadline ends
// each evaluation. What its queue has no room for is tested in pkg/shadow.
func TestCandidateSlow(t *testing.T) {
	s := startTrial(t, "{files: [candidate.rego], timeout: 50ms, queueChecks: 4}", map[string]string{
		"candidate.rego": allows("open") + "\nallow if {\n\tsome i in numbers.range(1, 4000)\n\tsome j in numbers.range(1, 4000)\n\ti + j == input.parsed_path[1]\n}\n",
	})
	s.awaitState(t, candidateComparing)
	for range 100 {
		if !s.allowed(t, "/open/7") || s.allowed(t, "/elsewhere/7") {
			t.Fatal("a check was answered otherwise")
		}
	}
	until(t, "an evaluation is given up", func() bool { return s.status(t).GetFailed() > 0 })
	if text := s.scrape(t); !strings.Contains(text, `sallyport_candidate_failures_total{sallyport_decision_reason="timeout"}`) {
		t.Error("/metrics does not say why the candidate failed")
	}
}
