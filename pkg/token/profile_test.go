package token_test

import (
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// TestProfile holds tokens that say at+jwt to RFC 9068, and no others.
func TestProfile(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	v := pinned(t, i, nil)
	full := tokentest.Change(i.Claims("orders"), map[string]any{
		"sub": "alice", "client_id": "app", "jti": "1", "auth_time": 1900000000, "acr": "0", "amr": []string{"pwd"}, "scope": "read",
	})
	for _, test := range []struct {
		name    string
		changes map[string]any
		want    authz.Reason // of at+jwt
		plain   authz.Reason // of JWT
	}{
		{"all", nil, authz.Allowed, authz.Allowed},
		{"a nonce, by its word no ID token", map[string]any{"nonce": "x"}, authz.Allowed, authz.TokenUnsupported},
		{"without optional ones", map[string]any{"auth_time": nil, "acr": nil, "amr": nil, "scope": nil}, authz.Allowed, authz.Allowed},
		{"without iss", map[string]any{"iss": nil}, authz.TokenIssuerUnknown, authz.TokenIssuerUnknown},
		{"without exp", map[string]any{"exp": nil}, authz.TokenClaims, authz.TokenClaims},
		{"without aud", map[string]any{"aud": nil}, authz.TokenClaims, authz.TokenClaims},
		{"without sub", map[string]any{"sub": nil}, authz.TokenClaims, authz.Allowed},
		{"without client_id", map[string]any{"client_id": nil}, authz.TokenClaims, authz.Allowed},
		{"without iat", map[string]any{"iat": nil}, authz.TokenClaims, authz.Allowed},
		{"without jti", map[string]any{"jti": nil}, authz.TokenClaims, authz.Allowed},
		{"auth_time as text", map[string]any{"auth_time": "now"}, authz.TokenClaims, authz.Allowed},
		{"acr as a number", map[string]any{"acr": 1}, authz.TokenClaims, authz.Allowed},
		{"amr as text", map[string]any{"amr": "pwd"}, authz.TokenClaims, authz.Allowed},
		{"amr of numbers", map[string]any{"amr": []int{1}}, authz.TokenClaims, authz.Allowed},
		{"scope as a list", map[string]any{"scope": []string{"read"}}, authz.TokenClaims, authz.Allowed},
	} {
		for typ, reason := range map[string]authz.Reason{"at+jwt": test.want, "application/AT+JWT": test.want, "JWT": test.plain} {
			t.Run(test.name+"/"+typ, func(t *testing.T) {
				text, err := i.Key("ES256").Sign(map[string]any{"typ": typ}, tokentest.Change(full, test.changes))
				if err != nil {
					t.Fatal(err)
				}
				want(t, v, text, reason)
			})
		}
	}
}
