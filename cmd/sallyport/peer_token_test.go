package main

import (
	"slices"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// verifies is a policy in the manner of opa-envoy-plugin's users, without the rule keys.
const verifies = `package envoy.authz

default allow = false

bearer = text { [_, text] := split(input.attributes.request.http.headers.authorization, " ") }

allow {
    [valid, _, payload] := io.jwt.decode_verify(bearer, {"cert": keys, "iss": data.issuer, "aud": "orders"})
    valid
    payload.sub == "alice"
}

`

// Policies that verify tokens themselves run too, with the keys in the data or fetched. A rule for the
// same token, which takes it away from the upstream, does not hide it from them.
func TestPeerVerifiesTokens(t *testing.T) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		issuer, err := tokentest.New(tokentest.Config{Algorithms: []string{algorithm}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { issuer.Close() })
		rule := map[string]any{"issuer": issuer.URL, "audiences": []string{"orders"}, "jwksUri": issuer.KeysURL()}
		for _, tc := range []struct {
			name        string
			keys        string
			firstDoor   []any
			wantRemoved []string
		}{
			{name: "keys in the data", keys: `json.marshal(data.jwks)`},
			{name: "keys that it fetches", keys: `http.send({"method": "GET", "url": data.url, "force_cache": true, "force_cache_duration_seconds": 60}).raw_body`},
			{name: "beside a rule", keys: `json.marshal(data.jwks)`, firstDoor: []any{rule}, wantRemoved: []string{"authorization"}},
		} {
			t.Run(algorithm+"/"+tc.name, func(t *testing.T) {
				group := peerGroup{Rego: verifies + "keys = " + tc.keys + "\n", Config: map[string]any{
					"jwt": map[string]any{"rules": tc.firstDoor},
					"policy": map[string]any{
						"data":         map[string]any{"jwks": issuer.KeySet(), "issuer": issuer.URL, "url": issuer.KeysURL()},
						"capabilities": map[string]any{"allowNet": []string{"127.0.0.1"}},
					},
				}}
				_, conn := running(t, group.configuration(t))
				checkVerifies(t, auth.NewAuthorizationClient(conn), issuer, tc.wantRemoved)
			})
		}
	}
}

func checkVerifies(t *testing.T, client auth.AuthorizationClient, issuer *tokentest.Issuer, wantRemoved []string) {
	t.Helper()
	for name, tc := range map[string]struct {
		changes map[string]any
		allowed bool
	}{
		"hers": {allowed: true}, "another's": {changes: map[string]any{"sub": "bob"}}, "expired": {changes: map[string]any{"iat": 1, "exp": 2}},
	} {
		token, err := issuer.Token("orders", tc.changes)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Check(t.Context(), &auth.CheckRequest{Attributes: &auth.AttributeContext{
			Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
				Method: "GET", Path: "/", Headers: map[string]string{"authorization": "Bearer " + token},
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.GetOkResponse() != nil; got != tc.allowed {
			t.Errorf("%s: %v", name, answer)
		}
		if removed := answer.GetOkResponse().GetHeadersToRemove(); tc.allowed && !slices.Equal(removed, wantRemoved) {
			t.Errorf("%s: headers to remove %v, want %v", name, removed, wantRemoved)
		}
	}
}
