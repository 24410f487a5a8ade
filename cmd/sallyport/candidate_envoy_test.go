package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Behind a real Envoy, under requests without a pause: a candidate comes by a reload, is found to let
// in whom the policy keeps out, is mended, and promoted with --wait. No request fails.
func TestEnvoyCandidate(t *testing.T) {
	m := startMesh(t, setup{config: "routes.yaml", settings: []edit{{`admin: ""`, "admin: 127.0.0.1:0"}}})
	s := &trialled{sallyport: m.sallyport, dir: t.TempDir()}
	s.file = filepath.Join(s.dir, "sallyport.yaml")
	s.line.reloader.file = s.file
	s.dialAdmin(t)
	text, err := os.ReadFile(filepath.Join("testdata", "routes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	stop := m.load(t, &requests)
	defer stop()
	candidate := func(routes string) {
		s.write(t, "sallyport.yaml", strings.ReplaceAll(string(text), "https://issuer.example.com", m.issuer.URL)+
			"  candidate:\n    promote: {local: true, decisions: 200}\n    data: {routes: ["+routes+"]}\n")
		s.reload(t)
		s.awaitState(t, candidateComparing)
	}

	status := func(path string, want int) {
		t.Helper()
		if got := (exchange{path: path}).send(t, http1(), m.url); got.status != want {
			t.Errorf("%s is answered with %d, want %d", path, got.status, want)
		}
	}

	candidate("{path: /public/**, public: true}, {path: /orders/**, public: true}")
	status("/orders/7", http.StatusUnauthorized)
	until(t, "the breach is found", func() bool { return s.status(t).GetNewlyAllowed() == 1 })
	if text := s.command(t, exitFindings, "promote", "--wait", "1m"); !strings.Contains(text, "differ or failed, at most 0 may") {
		t.Errorf("promotion is refused with %s", text)
	}
	if first := s.status(t).GetGroups()[0]; first.GetReason() != "policy_denied" || first.GetRoute() != "/orders/**" {
		t.Errorf("the first group is %v", first)
	}

	candidate("{path: /public/**, public: true}, {path: /new, public: true}")
	status("/new/%2f", http.StatusBadRequest) // comes to no policy, and is no difference
	revision := s.status(t).GetCandidateRevision()
	s.command(t, 0, "promote", "--wait", "1m", "--revision", revision)
	status("/new", http.StatusOK)
	passed(t, &requests, 100)
	s.command(t, 0, "drop")
	status("/new", http.StatusUnauthorized)
	stop()
	if log := m.decisions.String(); !strings.Contains(log, `"revision":"`+revision+`"`) || !strings.Contains(log, `"candidate":{"verdict":"newly_allowed"`) {
		t.Error("the log lacks what the candidate decided, or would have")
	}
	t.Logf("%d requests", requests.Load())
}
