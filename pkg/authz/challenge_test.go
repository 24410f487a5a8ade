package authz_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

func TestChallenge(t *testing.T) {
	missing, valid := slot(authz.TokenMissing), slot(authz.TokenValid)
	hour, never := 3600, 0
	orders := authz.Challenge{Realm: "orders", ResourceMetadata: "https://orders.example.com/.well-known/oauth-protected-resource"}
	for name, tc := range map[string]struct {
		id         authz.Identity
		err        error
		decision   authz.Decision
		challenge  authz.Challenge
		wantStatus int
		want       string // "" for no header
	}{
		"no token":                     {id: missing, wantStatus: 401, want: `Bearer`},
		"a token":                      {id: valid, wantStatus: 403},
		"the policy's own status":      {id: missing, decision: authz.Decision{Status: 404}, wantStatus: 404},
		"the policy's 401":             {id: valid, decision: authz.Decision{Status: 401}, wantStatus: 401, want: `Bearer`},
		"no token, and a realm":        {id: missing, challenge: authz.Challenge{Realm: "orders"}, wantStatus: 401, want: `Bearer realm="orders"`},
		"a realm that must be escaped": {id: missing, challenge: authz.Challenge{Realm: `a"b\c`}, wantStatus: 401, want: `Bearer realm="a\"b\\c"`},
		"a realm that ends the header": {id: missing, challenge: authz.Challenge{Realm: "a\r\nset-cookie: b\x00é"}, wantStatus: 401, want: `Bearer realm="aset-cookie: b"`},
		"bad token": {
			id: missing, err: failure(authz.TokenSignature), wantStatus: 401,
			want: `Bearer error="invalid_token", error_description="the token is invalid"`,
		},
		"bad token, and all that is configured": {
			id: missing, err: failure(authz.TokenExpired), challenge: orders, wantStatus: 401,
			want: `Bearer realm="orders", error="invalid_token", error_description="the token has expired", ` +
				`resource_metadata="https://orders.example.com/.well-known/oauth-protected-resource"`,
		},
		"two credentials": {
			id: missing, err: failure(authz.TokenMultiple), wantStatus: 400,
			want: `Bearer error="invalid_request", error_description="the request carries more than one credential"`,
		},
		"scopes": {
			id: valid, decision: authz.Decision{Scopes: []string{"orders:read", "orders:write"}}, wantStatus: 403,
			want: `Bearer error="insufficient_scope", error_description="the token lacks a scope", scope="orders:read orders:write"`,
		},
		"scopes without a token": { // RFC 6750, section 3.1: no error code where no token was presented
			id: missing, decision: authz.Decision{Scopes: []string{"orders:read"}}, wantStatus: 401,
			want: `Bearer scope="orders:read"`,
		},
		"step-up": {
			id: valid, decision: authz.Decision{StepUp: &authz.StepUp{ACRValues: []string{"urn:b", "urn:a"}, MaxAge: &hour}}, wantStatus: 401,
			want: `Bearer error="insufficient_user_authentication", ` +
				`error_description="a stronger or more recent authentication is required", acr_values="urn:b urn:a", max_age="3600"`,
		},
		"step-up at once": {
			id: valid, decision: authz.Decision{StepUp: &authz.StepUp{MaxAge: &never}}, wantStatus: 401,
			want: `Bearer error="insufficient_user_authentication", ` +
				`error_description="a stronger or more recent authentication is required", max_age="0"`,
		},
		"step-up without a token": {
			id: missing, decision: authz.Decision{StepUp: &authz.StepUp{MaxAge: &hour}}, wantStatus: 401, want: `Bearer`,
		},
		"the policy's own header": {
			id:         missing,
			decision:   authz.Decision{Denial: []authz.Header{{Name: "www-authenticate", Value: `Basic realm="x"`}}},
			wantStatus: 401, want: `Basic realm="x"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var recorded records
			checker := authz.Checker{
				Verifier: identified(tc.id, tc.err), Decider: decided(tc.decision, nil), Recorder: &recorded, Challenge: tc.challenge,
			}
			d := checker.Check(context.Background(), get("/", nil))
			header := http.Header{}
			for _, h := range d.Denial {
				header.Add(h.Name, h.Value)
			}
			if diff := cmp.Diff(tc.want, strings.Join(header.Values("WWW-Authenticate"), " | ")); diff != "" || d.Status != tc.wantStatus {
				t.Errorf("status %d, want %d; challenge (-want +got):\n%s", d.Status, tc.wantStatus, diff)
			}
		})
	}
}
