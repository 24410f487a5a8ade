package policy

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
)

// TestMemoFindsItsMistakes puts a lie into the memo. It is told for a while; then one of the hits
// that are evaluated again shows it, and the memo is off.
func TestMemoFindsItsMistakes(t *testing.T) {
	var log bytes.Buffer
	e := awkwardEngine(t, "default allow := false\n\nallow if input.parsed_path[0] == \"secret\"")
	s := e.current.Load().snapshots[0]
	s.memo.logger = slog.New(slog.NewTextHandler(&log, nil))
	path, err := authz.ParsePath("/lie")
	if err != nil {
		t.Fatal(err)
	}
	req := &authz.Request{HTTP: &authz.HTTP{Path: path}}
	in := &sheet{}
	if err := (writer{in, s.limits.asides, s.bodies}).input(&s.reads.input, req, authz.Identity{}); err != nil {
		t.Fatal(err)
	}
	key := s.memo.key(in)
	for range 2 {
		s.memo.put(&key, &authz.Decision{Allowed: true, Reason: authz.Allowed})
	}
	lies := 0
	for range 100_000 { // that none of them is evaluated again happens once in 10^43
		d, err := e.Decide(t.Context(), req, authz.Identity{})
		if err != nil {
			t.Fatal(err)
		}
		if !d.Allowed {
			break
		}
		lies++
	}
	if d, err := e.Decide(t.Context(), req, authz.Identity{}); err != nil || d.Allowed {
		t.Errorf("after %d lies: got %+v, %v, want a denial", lies, d, err)
	}
	if stats := e.Stats(); stats.Differences != 1 || stats.Bypasses == 0 {
		t.Errorf("%+v, want a difference, and no look into the memo after it", stats)
	}
	if text := log.String(); !strings.Contains(text, "the memo is off") || strings.Contains(text, "lie") {
		t.Errorf("log %q, want that the memo is off, and nothing of the request", text)
	}
}
