package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// decideTimes asks the same of an engine again and again; each answer must be the first.
func decideTimes(t *testing.T, times int, e *policy.Engine, req *authz.Request, id authz.Identity) {
	t.Helper()
	want, err := e.Decide(t.Context(), req, id)
	if err != nil {
		t.Fatal(err)
	}
	for range times - 1 {
		got, err := e.Decide(t.Context(), req, id)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%v; (-first +again):\n%s", err, diff)
		}
	}
}

// TestMemoAnswers keeps what comes a second time, so that the third check is the first from the memo.
func TestMemoAnswers(t *testing.T) {
	e := engine(t, `allow if input.parsed_path[0] == "a"`)
	decideTimes(t, 10, e, get(t, "/a"), clerk())
	stats := e.Stats()
	if stats.Hits != 8 || stats.Misses != 2 || stats.Entries != 1 || stats.Bytes == 0 {
		t.Errorf("%+v, want 8 hits, 2 misses and an entry", stats)
	}
}

// TestMemoSharesAmongTokens has two tokens that differ, but not in what the policy reads.
func TestMemoSharesAmongTokens(t *testing.T) {
	e := engine(t, `allow if "clerk" in input.tokens.users.claims.roles`)
	for _, jti := range []string{"1", "2", "3", "4"} {
		id := clerk()
		id.Tokens["users"].Claims["jti"] = jti
		decideTimes(t, 1, e, get(t, "/"), id)
	}
	if stats := e.Stats(); stats.Hits != 2 {
		t.Errorf("%+v, want 2 hits", stats)
	}
}

// TestMemoKeepsOut has checks that must not be answered from a memo, or come once.
func TestMemoKeepsOut(t *testing.T) {
	withBody := get(t, "/")
	withBody.HTTP.Headers["content-type"] = []string{"application/json"}
	withBody.HTTP.Body = `{"n": 1}`
	plain := get(t, "/")
	tests := []struct {
		name, rules string
		req         *authz.Request
		config      policy.Config
	}{
		{name: "no memo", rules: "allow := true", config: policy.Config{MemoBytes: -1}},
		{name: "the clock", rules: "allow if time.now_ns() > 0"},
		{name: "the clock by a name from the request", rules: "allow if not late[input.source.address]\n\nlate.x if time.now_ns() > 0"},
		{name: "the clock replaced", rules: "allow if now == 5 with time.now_ns as 5\n\nnow := time.now_ns()"},
		{name: "a random number", rules: `allow if rand.intn("x", 10) >= 0`},
		{name: "a certificate", rules: `allow if not crypto.x509.parse_and_verify_certificates(input.attributes.source.certificate)[0]`},
		{name: "a token of the policy's own", rules: "allow if not valid\n\nvalid if io.jwt.decode_verify(input.attributes.request.http.headers.authorization, {\"secret\": \"x\"})[0]"},
		{name: "a schema", rules: `allow if json.match_schema(input.parsed_path, {"type": "array"})[0]`},
		{name: "all of input", rules: `allow if count(input) > 0`},
		{name: "the time of the request", rules: "allow if not late\n\nlate if input.attributes.request.time.seconds > 5"},
		{name: "the id of the request", rules: "allow if not late\n\nlate if input.attributes.request.http.id"},
		{name: "all of the request", rules: `allow if count(input.attributes.request.http) > 0`},
		{name: "a body", rules: "allow if input.parsed_body.n == 1", req: withBody},
		{name: "the text of a body", rules: "allow if input.attributes.request.http.body", req: withBody},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := configured(t, tt.rules, tt.config)
			if tt.req == nil {
				tt.req = plain
			}
			for range 5 {
				_, _ = e.Decide(t.Context(), tt.req, clerk()) // an error is one every time
			}
			if stats := e.Stats(); stats.Hits != 0 || stats.Bypasses != 5 || stats.Entries != 0 {
				t.Errorf("%+v, want nothing but bypasses", stats)
			}
		})
	}
}

// TestMemoKeepsNoErrors evaluates again what failed.
func TestMemoKeepsNoErrors(t *testing.T) {
	e := engine(t, `allow if to_number(input.parsed_path[0]) > 0`)
	for range 5 {
		if _, err := e.Decide(t.Context(), get(t, "/x"), clerk()); authz.ReasonOf(err) != authz.PolicyError {
			t.Fatalf("error %v, want the policy's", err)
		}
	}
	if stats := e.Stats(); stats.Hits != 0 || stats.Entries != 0 {
		t.Errorf("%+v, want no hits", stats)
	}
}

// TestMemoLooksAtBodies refuses a body that is broken, though the policy does not look at it and
// has allowed the same check without it.
func TestMemoLooksAtBodies(t *testing.T) {
	e := engine(t, `allow if input.parsed_path`)
	decideTimes(t, 5, e, get(t, "/"), clerk())
	broken := get(t, "/")
	broken.HTTP.Headers["content-type"] = []string{"application/json"}
	broken.HTTP.Body = "{"
	if _, err := e.Decide(t.Context(), broken, clerk()); authz.ReasonOf(err) != authz.BodyMalformed {
		t.Errorf("error %v, want a malformed body", err)
	}
}

// TestMemoEndsWithThePolicy changes the data below a kept decision.
func TestMemoEndsWithThePolicy(t *testing.T) {
	dir := write(t, map[string]string{
		"policy.rego": "package envoy.authz\n\nallow := {\"allowed\": data.open, \"reason\": input.parsed_path[0]}\n",
		"data.json":   `{"open": true}`,
	})
	e, err := policy.New(t.Context(), policy.Config{Files: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	decideTimes(t, 5, e, get(t, "/a"), clerk())
	first := e.Revision()
	if err := os.WriteFile(filepath.Join(dir, "data.json"), []byte(`{"open": false}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); e.Revision() == first; {
		if time.Now().After(limit) {
			t.Fatal("the change was not noticed")
		}
		if d, err := e.Decide(t.Context(), get(t, "/a"), clerk()); err != nil || d.Allowed != (d.Revision == first) {
			t.Fatalf("got %+v, %v, want the decision of its revision", d, err)
		}
	}
	if d, err := e.Decide(t.Context(), get(t, "/a"), clerk()); err != nil || d.Allowed {
		t.Errorf("got %+v, %v, want a denial", d, err)
	}
}

// TestMemoIsNotShared gives each entrypoint decisions of its own.
func TestMemoIsNotShared(t *testing.T) {
	e := configured(t, "allow if input.parsed_path\n\ndefault no := false\n\nno if not input.parsed_path", policy.Config{
		Entrypoints: []policy.Entrypoint{{Host: "no.example.com", Path: "envoy/authz/no"}},
	})
	no := get(t, "/")
	no.HTTP.Host = "no.example.com"
	for range 5 {
		for req, want := range map[*authz.Request]bool{get(t, "/"): true, no: false} {
			if d, err := e.Decide(t.Context(), req, clerk()); err != nil || d.Allowed != want {
				t.Errorf("got %+v, %v, want allowed %v", d, err, want)
			}
		}
	}
}

// TestMemoIsBounded fills a memo with ten times what it can hold.
func TestMemoIsBounded(t *testing.T) {
	const most = 1 << 20
	e := configured(t, `allow := {"allowed": true, "reason": input.parsed_path[0]}`, policy.Config{MemoBytes: most})
	for i := range 10_000 {
		decideTimes(t, 2, e, get(t, fmt.Sprintf("/%d", i)), clerk())
	}
	stats := e.Stats()
	if stats.Bytes > most || stats.Bytes < most/2 || stats.Evictions == 0 {
		t.Errorf("%+v, want it full and not above %d bytes", stats, most)
	}
	for i := range 10_000 { // what comes once does not come in
		decideTimes(t, 1, e, get(t, fmt.Sprintf("/once/%d", i)), clerk())
	}
	if after := e.Stats(); after.Evictions != stats.Evictions || after.Entries != stats.Entries {
		t.Errorf("%+v, want the entries and evictions of %+v", after, stats)
	}
}

// TestMemoHitsAllocateLittle: nothing, but for one in a thousand, which is evaluated again with
// hundreds, and for what the race detector takes out of pools.
func TestMemoHitsAllocateLittle(t *testing.T) {
	e := shipped(t)
	for path, id := range map[string]authz.Identity{"/orders/1": clerk(), "/public/a": {}} {
		req := get(t, path)
		decideTimes(t, 3, e, req, id)
		if got := testing.AllocsPerRun(1000, func() { _, _ = e.Decide(t.Context(), req, id) }); got > 10 {
			t.Errorf("%s: %v allocations for a hit", path, got)
		}
	}
}
