package token_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// TestPayload shows what becomes of a payload: the header has the issuer's own bytes, policy sees
// words, and headers from claims are written as the issuer signed them.
func TestPayload(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	keys, err := json.Marshal(i.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	text := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{
		"scope": " orders:read  orders:write ", "groups": []any{"a b"}, "empty": "", "plain": "a b",
	}))
	v := start(t, token.Config{Rules: []token.Rule{rule("users", i.URL, func(r *token.Rule) {
		r.JWKS, r.OutputPayloadToHeader = string(keys), "X-Payload"
		r.SpaceDelimitedClaims = []string{"scope", "groups", "empty", "absent"}
		r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "x-plain", Claim: "plain"}}
	})}})
	payload := strings.Split(text, ".")[1]
	for _, test := range []struct {
		name    string
		headers authz.Headers
		want    authz.Mutation
		wantErr authz.Reason
	}{
		{"a token", authz.Headers{"authorization": {"Bearer " + text}}, authz.Mutation{
			SetHeaders:    []authz.Header{{Name: "x-payload", Value: payload}, {Name: "x-plain", Value: "a b"}},
			RemoveHeaders: []string{"authorization"},
		}, ""},
		{"none, and a header of the client's own", authz.Headers{"x-payload": {payload}}, authz.Mutation{
			RemoveHeaders: []string{"x-payload", "x-plain"},
		}, ""},
		{"a bad token", authz.Headers{"authorization": {"Bearer " + text + "AAAA"}}, authz.Mutation{
			RemoveHeaders: []string{"authorization"},
		}, authz.TokenSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), request(test.headers))
			if (err != nil) != (test.wantErr != "") || err != nil && authz.ReasonOf(err) != test.wantErr {
				t.Fatalf("got %v, want %q", err, test.wantErr)
			}
			if diff := cmp.Diff(test.want, id.Upstream); diff != "" {
				t.Errorf("upstream (-want +got):\n%s", diff)
			}
		})
	}
	id, err := v.Verify(t.Context(), bearer(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, name := range []string{"scope", "groups", "empty", "plain"} {
		got[name] = id.Tokens["users"].Claims[name]
	}
	want := map[string]any{"scope": []any{"orders:read", "orders:write"}, "groups": []any{"a b"}, "empty": []any{}, "plain": "a b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// TestTimeout shows that a rule's timeout ends a fetch, sooner or later than the default of 5 s.
func TestTimeout(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"default": 0, "shorter": 200 * time.Millisecond, "longer": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
				i.Instead(http.HandlerFunc(tokentest.Hanging))
				v := fetching(t, i.Client(), rule("users", i.URL, func(r *token.Rule) { r.Timeout = timeout }))
				want := timeout
				if want == 0 {
					want = 5 * time.Second
				}
				for _, step := range []struct {
					wait time.Duration
					want bool
				}{{want - time.Millisecond, false}, {2 * time.Millisecond, true}} {
					ctx, cancel := context.WithTimeout(t.Context(), step.wait)
					err := v.AwaitKeys(ctx, "users")
					cancel()
					if got := strings.Contains(err.Error(), "deadline exceeded"); got != step.want {
						t.Errorf("%s later, %t that the fetch has ended: %v", step.wait, got, err)
					}
				}
			})
		})
	}
}
