package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// The example of deploy/candidate.md behaves as the page shows it, but for times, ids and revisions.
func TestCandidatePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "deploy", "candidate.md"))
	if err != nil {
		t.Fatal(err)
	}
	settings := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	blocks := regexp.MustCompile("(?s)```console\n\\$ sallyport (.*?)\n(.*?)```").FindAllSubmatch(page, -1)
	if settings == nil || len(blocks) != 3 {
		t.Fatalf("the page has %d examples", len(blocks))
	}
	cfg, err := config.Parse("sallyport.yaml", append([]byte("listen: {grpc: '127.0.0.1:0', admin: '127.0.0.1:0', drain: {delay: 0s}}\n"), settings[1]...))
	if err != nil {
		t.Fatal(err)
	}
	s := &trialled{sallyport: &sallyport{decisions: newOutput(), messages: newOutput()}}
	s.run(t, cfg)
	s.conn = dialPlain(t, s.addr.String())
	s.dialAdmin(t)
	s.awaitState(t, candidateComparing)
	next := startWatch(t, s.admin, &inspectv1.WatchRequest{Differences: true, PathPrefix: "/reports"})
	for _, path := range []string{"/public/a", "/status", "/public/b", "/reports/q3", "/status", "/public/c"} {
		s.allowed(t, path)
	}
	s.compared(t, 6)
	for _, block := range blocks {
		command, want := string(block[1]), string(block[2])
		var got string
		if args := strings.Fields(command); args[0] == "candidate" {
			got = s.command(t, 0, args[1:]...)
		} else {
			out := newOutput()
			if err := differenceLine(out, nil)(next().GetDecision()); err != nil {
				t.Fatal(err)
			}
			got = out.String()
		}
		if diff := cmp.Diff(constant(want), constant(got)); diff != "" {
			t.Errorf("%s (-page +got):\n%s\nin full:\n%s", command, diff, got)
		}
	}
}

// constant replaces what differs from run to run, and what that makes of the columns.
func constant(text string) string {
	for _, varying := range []struct{ pattern, name string }{
		{`[0-9a-f]{8}-[0-9a-f-]{27}`, "ID"}, {`\b[0-9a-f]{12}\b`, "REVISION"}, {`\d{4}-\d\d-\d\dT[0-9:]+Z \([^)]*\)`, "TIME"},
		{`\d\d:\d\d:\d\d\.\d{3}`, "TIME"},
	} {
		text = regexp.MustCompile(varying.pattern).ReplaceAllString(text, varying.name)
	}
	return text
}
