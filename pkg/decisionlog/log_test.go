package decisionlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
)

func record() *authz.Record {
	return &authz.Record{
		ID:       "d7f5",
		Time:     time.Date(2026, 11, 23, 10, 0, 0, 0, time.FixedZone("", 3600)),
		Duration: 1500 * time.Microsecond,
		Request: &authz.Request{
			Source: authz.Peer{Address: "10.1.2.3", Principal: "spiffe://example.org/web", Certificate: "secret-pem"},
			HTTP: &authz.HTTP{
				Method: "GET", Host: "example.org", Path: authz.Path{Raw: "/orders?access_token=secret-query"},
				Headers: authz.Headers{"authorization": {"Bearer secret-token"}, "cookie": {"secret-cookie"}},
				Body:    "secret-body", RawBody: []byte("secret-raw"),
			},
		},
		Identity: authz.Identity{Tokens: map[string]authz.Token{
			"users":    {Status: authz.TokenValid, Issuer: "https://login.example.org", Claims: map[string]any{"sub": "ann", "email": "secret-claim"}},
			"workload": {Status: authz.TokenMissing},
		}},
		Decision: authz.Decision{
			Reason: authz.PolicyDenied, Detail: "lacks role admin", Status: 403, Revision: "r1", Body: "secret-answer",
			Denial: []authz.Header{{Name: "set-cookie", Value: "secret-answer"}},
		},
	}
}

func TestEntry(t *testing.T) {
	var out bytes.Buffer
	log := decisionlog.New(slog.New(slog.DiscardHandler), &out)
	log.Record(context.Background(), record())
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	want := map[string]any{
		"decision_id": "d7f5", "timestamp": "2026-11-23T09:00:00Z", "duration_us": 1500.0,
		"allowed": false, "reason": "policy_denied", "detail": "lacks role admin", "status": 403.0, "revision": "r1",
		"method": "GET", "host": "example.org", "path": "/orders",
		"source": map[string]any{"address": "10.1.2.3", "principal": "spiffe://example.org/web"},
		"tokens": map[string]any{
			"users":    map[string]any{"status": "valid", "issuer": "https://login.example.org", "sub": "ann"},
			"workload": map[string]any{"status": "missing"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("a credential reached the log: %s", out.String())
	}
}

// A check of the network filter is recorded like any other.
func TestNetworkEntry(t *testing.T) {
	r := record()
	r.Request.HTTP = nil
	entry := decisionlog.NewEntry(r)
	if entry.Method != "" || entry.Source.Principal != "spiffe://example.org/web" {
		t.Errorf("entry %+v", entry)
	}
}

// A stuck sink blocks until it is released.
type stuck struct {
	release chan struct{}
	lines   int
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	s.lines++
	return len(p), nil
}

// A full queue drops and counts; it never makes a check wait.
func TestFullQueue(t *testing.T) {
	const more = 100
	sink := &stuck{release: make(chan struct{})}
	log := decisionlog.New(slog.New(slog.DiscardHandler), sink)
	const sent = 8192 + 1 + more // the queue, the entry that is being written, and some
	for range sent {
		log.Record(context.Background(), record())
	}
	dropped := int(log.Dropped())
	if dropped < more || dropped > more+1 { // the writer may not have taken its first entry yet
		t.Errorf("%d entries were dropped, want %d", dropped, more)
	}
	close(sink.release)
	if err := log.Close(); err == nil || !strings.Contains(err.Error(), "were dropped") {
		t.Errorf("close says %v", err)
	}
	if sink.lines+dropped != sent {
		t.Errorf("%d written and %d dropped of %d", sink.lines, dropped, sent)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// A sink that fails is reported once, and does not keep the others from their entries.
func TestFailingSink(t *testing.T) {
	var messages, out bytes.Buffer
	log := decisionlog.New(slog.New(slog.NewTextHandler(&messages, nil)), failing{}, &out)
	for range 3 {
		log.Record(context.Background(), record())
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(messages.String(), "disk full"); n != 1 {
		t.Errorf("%d messages, want 1: %s", n, messages.String())
	}
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d entries in the other sink, want 3", n)
	}
}

func TestRecordAfterClose(t *testing.T) {
	log := decisionlog.New(slog.New(slog.DiscardHandler))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { log.Record(context.Background(), record()) })
	}
	log.Close()
	wait.Wait()
	log.Record(context.Background(), record())
	if log.Dropped() == 0 {
		t.Error("an entry that came after Close was not counted")
	}
}
