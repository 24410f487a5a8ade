package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
)

// candidates are policies that read of a request what the recorded one reads, and what it does not.
var candidates = []string{
	"",
	`allow if input.attributes.request.http.headers["x-tenant"] == "acme"`,
	`allow if not input.attributes.request.http.headers["x-tenant"]`,
	`allow if input.attributes.request.http.headers.authorization`,
	`allow if { input.attributes.request.http.method == "POST"; input.parsed_body.amount < 100 }`,
	`allow if count(input.parsed_query) == 0`,
	`allow if input.parsed_query.page[0] == "2"`,
	`allow if { input.parsed_path[0] == "orders"; input.tokens.users.claims.email == "ann@example.org" }`,
	`allow if count(input.tokens.users.claims) > 5`,
	`allow if "admin" in input.tokens.users.claims.roles`,
	`allow if { some slot; input.tokens[slot].status == "valid" }`,
	`allow if { input.source.principal; input.source.port > 5000 }`,
	`allow if net.cidr_contains("10.0.0.0/8", input.attributes.source.address.socketAddress.address)`,
	`allow if { input.attributes.request.http.host == "shop.example.com"; not input.path_ambiguous; input.tokens.users.issuer }`,
	`allow if contains(input.attributes.request.http.path, "token")`,
	`allow if input.attributes.contextExtensions.tier == "gold"`,
}

// TestReplayTellsWhatWouldBeDecided records decisions as serve does, credentials masked, and replays each
// line. What is decided is what the candidate decides of the whole request, or that nobody can tell.
func TestReplayTellsWhatWouldBeDecided(t *testing.T) {
	dir, random := t.TempDir(), rand.New(rand.NewPCG(5, 6))
	decided, all, worlds, recorded := map[string]int{}, map[string]int{}, map[string]*recordedWorld{}, ""
	for kind, keep := range map[string]string{
		"narrow": "",
		"kept":   "\ndecisionLog: {keep: {headers: [x-tenant], query: [page], claims: [email, roles]}}\n",
		"all":    "\ndecisionLog: {keep: {input: all, claims: ['*'], body: ['*']}}\n",
	} {
		recorded = writeConfig(t, dir, kind+".yaml", replayRoutes+keep) // the policy is the same in all
		worlds[kind] = newRecordedWorld(t, recorded)
	}
	for i, rules := range candidates {
		file := recorded
		if rules != "" {
			rego := writeConfig(t, dir, fmt.Sprintf("%d.rego", i), "package envoy.authz\n\ndefault allow := false\n\n"+rules)
			file = writeConfig(t, dir, fmt.Sprintf("%d.yaml", i), strings.Replace(replayRoutes, "policy:\n", "policy:\n  files: ["+rego+"]\n", 1))
		}
		policies, err := loadReplayed(t.Context(), file, []string{recorded})
		if err != nil {
			t.Fatal(err)
		}
		whole := newRecordedWorld(t, file)
		for kind, world := range worlds {
			for range 30 {
				req, id := anyRequest(t, random)
				line, _ := world.check(t.Context(), req, id)
				r, err := history.Parse(line)
				if err != nil || r.Complete == nil {
					t.Fatalf("%s: %v", line, err)
				}
				all[kind]++
				got, gotErr := policies.candidate.Again(t.Context(), r)
				if _, ok := errors.AsType[*replay.Undecided](gotErr); ok {
					continue
				}
				decided[kind]++
				want, wantErr := whole.engine.Decide(t.Context(), req, id)
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(authz.Decision{}, "Basis", "Cached", "Revision")); diff != "" || (wantErr == nil) != (gotErr == nil) {
					t.Fatalf("%s, %s: %v, %v, (-of the request +of the record):\n%s\nfrom %s", kind, rules, wantErr, gotErr, diff, line)
				}
			}
		}
		policies.close()
	}
	for kind, least := range map[string]int{"narrow": 20, "kept": 30, "all": 80} {
		t.Logf("%s: %d of %d decided", kind, decided[kind], all[kind])
		if 100*decided[kind] < least*all[kind] {
			t.Errorf("%s: only %d of %d decided", kind, decided[kind], all[kind])
		}
	}
}

// anyRequest has what candidates look at, or lacks it.
func anyRequest(t *testing.T, random *rand.Rand) (*authz.Request, authz.Identity) {
	t.Helper()
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	raw := one("/public/a", "/orders/7", "/orders", "/admin", "/users/ann/x") + one("", "?page=2", "?page=2&page=3", "?page=a,b", "?access_token=abc")
	path, err := authz.ParsePath(raw)
	if err != nil {
		t.Fatal(err)
	}
	req := &authz.Request{
		Source:            authz.Peer{Address: one("10.1.2.3", "192.0.2.1"), Port: uint32(random.IntN(10_000)), Principal: one("", "spiffe://example.org/web")},
		ContextExtensions: map[string]string{"tier": one("gold", "lead")},
		HTTP: &authz.HTTP{Method: one("GET", "POST"), Host: one("shop.example.com", "other.example.com"), Path: path, Headers: authz.Headers{
			":path": {raw}, "authorization": {"Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}, "content-type": {"application/json"},
		}},
	}
	if tenant := one("", "acme", "beta"); tenant != "" {
		req.HTTP.Headers["x-tenant"] = []string{tenant}
	}
	if random.IntN(2) == 0 {
		req.HTTP.Body = fmt.Sprintf(`{"amount": %d, "iban": "CH93"}`, random.IntN(200))
	}
	token := authz.Token{Status: authz.TokenMissing}
	if random.IntN(3) > 0 {
		token = authz.Token{Status: authz.TokenValid, Issuer: "https://login.example.com", Header: map[string]any{"alg": "ES256"}, Claims: map[string]any{
			"iss": "https://login.example.com", "sub": one("ann", "bob"), "aud": []any{"shop"}, "exp": json.Number("1800000000"),
			"scope": one("orders:read", "orders:write"), "roles": []any{one("admin", "clerk")},
		}}
		if email := one("", "ann@example.org", "bob@example.org"); email != "" {
			token.Claims["email"] = email
		}
	}
	return req, authz.Identity{Tokens: map[string]authz.Token{"users": token}}
}

// TestProgress tells how far a log is read.
func TestProgress(t *testing.T) {
	for want, line := range map[string]string{
		"50 % of 200.0 MiB, 10.0 MiB/s, 10s left": progress(100<<20, 200<<20, 10e9),
		"100.0 MiB, 10.0 MiB/s":                   progress(100<<20, 0, 10e9),
		"0.0 MiB, 0.0 MiB/s":                      progress(0, 100, 1e9),
	} {
		if line != want {
			t.Errorf("%q, want %q", line, want)
		}
	}
}
