package history_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
)

const whole = `{"decision_id":"d1","timestamp":"2026-11-24T03:33:12.827Z","duration_us":"64","allowed":false,"reason":"policy_denied",
"status":403,"method":"GET","path":"/orders/7","source":{"address":"10.1.2.3","principal":"spiffe://example.org/web","port":1},
"tokens":{"users":{"status":"valid","issuer":"https://a","sub":"alice","algorithm":"RS256","claims":{"exp":9007199254740993}}},
"answer":{"response_headers":[{"name":"www-authenticate","value":"Bearer"}]},
"input":{"n":9007199254740993},"complete":false,"incomplete":"masked values","masked":["input/x"],"to_come":{}}`

func TestParse(t *testing.T) {
	got, err := history.Parse([]byte(strings.ReplaceAll(whole, "\n", "")))
	if err != nil {
		t.Fatal(err)
	}
	complete := false
	want := &history.Record{
		ID: "d1", Time: time.Date(2026, 11, 24, 3, 33, 12, 827e6, time.UTC), DurationUS: "64", Reason: authz.PolicyDenied, Status: 403,
		Method: "GET", Path: "/orders/7", Source: history.Peer{Address: "10.1.2.3", Principal: "spiffe://example.org/web", Port: 1},
		Tokens: map[string]history.Token{"users": {
			Status: authz.TokenValid, Issuer: "https://a", Subject: "alice", Algorithm: "RS256",
			Claims: map[string]any{"exp": got.Tokens["users"].Claims["exp"]},
		}},
		Answer: history.Answer{ResponseHeaders: []history.Header{{Name: "www-authenticate", Value: "Bearer"}}},
		Input:  []byte(`{"n":9007199254740993}`), Complete: &complete, Incomplete: "masked values", Masked: []string{"input/x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if exp := fmt.Sprint(got.Tokens["users"].Claims["exp"]); exp != "9007199254740993" {
		t.Errorf("exp %s is not exact", exp)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ line, want string }{
		"no JSON":           {`decided`, "invalid character"},
		"another log":       {`{"level":"info","msg":"started"}`, "no line of Sallyport's decision log"},
		"a wrong type":      {`{"decision_id":"a","timestamp":"2026-11-24T03:33:12Z","allowed":"yes"}`, "allowed"},
		"two on a line":     {`{"decision_id":"a","timestamp":"2026-11-24T03:33:12Z"} {}`, "more than one"},
		"half a record":     {`{"decision_id":"a","timest`, "unexpected EOF"},
		"a time that is no": {`{"decision_id":"a","timestamp":"yesterday"}`, "yesterday"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := history.Parse([]byte(tt.line)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestPrincipalAndPattern(t *testing.T) {
	users := map[string]history.Token{"users": {Status: authz.TokenValid, Subject: "alice"}, "workload": {Status: authz.TokenMissing}}
	for name, tt := range map[string]struct {
		record             history.Record
		principal, pattern string
	}{
		"nobody":          {history.Record{Method: "GET", Path: "/"}, "anonymous", "GET /"},
		"a user":          {history.Record{Method: "GET", Path: "/v1/orders/4711/items", Tokens: users}, "users:alice", "GET /v1/orders/{}/items"},
		"a bad token":     {history.Record{Method: "GET", Path: "/", Tokens: map[string]history.Token{"users": {Status: authz.TokenInvalid, Subject: "eve"}}}, "anonymous", "GET /"},
		"no subject":      {history.Record{Method: "PUT", Path: "/a%2fb", Tokens: map[string]history.Token{"mesh": {Status: authz.TokenValid, Issuer: "https://i"}}}, "mesh:of https://i", "PUT /{}"},
		"a workload, too": {history.Record{Method: "POST", Path: "/x/6f1e2d3c-0b1a-4c5d-8e7f-001122334455", Tokens: users, Source: history.Peer{Principal: "spiffe://e/w"}}, "users:alice spiffe://e/w", "POST /x/{}"},
		"a named route":   {history.Record{Method: "GET", Path: "/orders/1", Route: "/orders/**"}, "anonymous", "GET /orders/**"},
		"a date":          {history.Record{Method: "GET", Path: "/days/2026-11-24/oauth2/[masked]"}, "anonymous", "GET /days/{}/oauth2/{}"},
		"a connection":    {history.Record{Destination: history.Peer{Port: 5432}}, "anonymous", "tcp 5432"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := [2]string{tt.record.Principal(), tt.record.Pattern()}; got != [2]string{tt.principal, tt.pattern} {
				t.Errorf("%q, want %q and %q", got, tt.principal, tt.pattern)
			}
		})
	}
}

// record is a line of about 300 bytes.
func record(n int) string {
	return fmt.Sprintf(`{"decision_id":"d%d","timestamp":"2026-11-24T03:33:12Z","detail":"%s"}`+"\n", n, strings.Repeat("x", 250))
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	var packed bytes.Buffer
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(&packed)
		if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		text = packed.String()
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEach reads a rotated log whole, each record once and with its place, and a line as long as a block.
func TestEach(t *testing.T) {
	dir, want := t.TempDir(), map[string]history.Place{}
	names := []string{"decisions-20261124T023531.1Z.ndjson", "decisions-20261124T033531.1Z.ndjson.gz", "decisions.ndjson"}
	for f, name := range names {
		var text strings.Builder
		for i := range 2000 {
			want[fmt.Sprintf("d%d", f*2000+i)] = history.Place{File: filepath.Join(dir, name), Line: i + 1}
			text.WriteString(record(f*2000 + i))
		}
		write(t, dir, name, strings.Replace(text.String(), "xxx", strings.Repeat("y", 600<<10), 1))
	}
	write(t, dir, "other.txt", "no record")
	log, err := history.Open(nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[string]history.Place{}
	err = log.Each(t.Context(), 3, func(_ int, at history.Place, r *history.Record) error {
		mu.Lock()
		defer mu.Unlock()
		got[r.ID] = at
		return nil
	})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if log.Read() != log.Size() || log.Size() == 0 || log.Torn() != 0 {
		t.Errorf("read %d of %d bytes, %d torn", log.Read(), log.Size(), log.Torn())
	}
}

func TestEachEnds(t *testing.T) {
	stop := errors.New("stop")
	for name, tt := range map[string]struct {
		text string
		do   error
		want string // of the error
		torn int64
	}{
		"a bad line":       {record(1) + "\n" + `{"msg":"other"}` + "\n" + record(3), nil, "-:3: history: read a record: no decision_id", 0},
		"a torn last line": {record(1) + record(2)[:40], nil, "", 1},
		"no last newline":  {record(1) + strings.TrimSpace(record(2)), nil, "", 0},
		"who asks stops":   {record(1), stop, "stop", 0},
		"nothing":          {"", nil, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			log, err := history.Open(strings.NewReader(tt.text), "-")
			if err != nil {
				t.Fatal(err)
			}
			err = log.Each(t.Context(), 1, func(int, history.Place, *history.Record) error { return tt.do })
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || log.Torn() != tt.torn {
				t.Errorf("%v, want %q; %d torn, want %d", err, tt.want, log.Torn(), tt.torn)
			}
		})
	}
	log, _ := history.Open(strings.NewReader(record(1)), "-")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Each(cancelled, 1, func(int, history.Place, *history.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, path := range []string{"absent.ndjson", t.TempDir()} {
		if _, err := history.Open(nil, path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	line := []byte(strings.ReplaceAll(whole, "\n", ""))
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := history.Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}

// What a candidate would have decided is no decision: who reads decisions does not see it.
func TestEachLeavesOutCandidates(t *testing.T) {
	dir := t.TempDir()
	difference := strings.Replace(record(1), `"detail"`, `"candidate":{"verdict":"newly_denied"},"detail"`, 1)
	write(t, dir, "decisions.ndjson", record(1)+difference+record(2))
	log, err := history.Open(nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	err = log.Each(t.Context(), 1, func(_ int, at history.Place, r *history.Record) error {
		ids = append(ids, fmt.Sprint(at.Line, r.ID))
		return nil
	})
	if want := []string{"1d1", "3d2"}; err != nil || !cmp.Equal(want, ids) {
		t.Errorf("%v, read %v, want %v", err, ids, want)
	}
}
