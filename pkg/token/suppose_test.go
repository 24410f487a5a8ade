package token_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// What is supposed of a token is what its verification finds, but for the token itself, which is not
// passed on.
func TestSupposeIsWhatVerifyFinds(t *testing.T) {
	issuer, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	defer issuer.Close()
	v, err := token.New(t.Context(), token.Config{Rules: []token.Rule{
		{
			Name: "users", Issuer: issuer.URL, Audiences: []string{"orders"}, JWKSURI: issuer.URL + "/jwks", ForwardOriginalToken: true,
			OutputClaimToHeaders: []token.ClaimHeader{{Header: "x-user", Claim: "sub"}, {Header: "x-none", Claim: "none"}},
			SpaceDelimitedClaims: []string{"scope"}, Required: true,
		},
		{
			Name: "devices", Issuer: "https://devices.invalid", Audiences: []string{"orders"}, JWKSURI: issuer.URL + "/jwks",
			OutputClaimToHeaders: []token.ClaimHeader{{Header: "x-device", Claim: "sub"}}, FromCookies: []string{"device"},
			OutputPayloadToHeader: "x-payload",
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.AwaitKeys(t.Context(), "users"); err != nil {
		t.Fatal(err)
	}
	text, err := issuer.Token("orders", map[string]any{"scope": "a b"})
	if err != nil {
		t.Fatal(err)
	}
	path, err := authz.ParsePath("/")
	if err != nil {
		t.Fatal(err)
	}
	want, err := v.Verify(t.Context(), &authz.Request{HTTP: &authz.HTTP{Path: path, Headers: authz.Headers{"authorization": {"Bearer " + text}}}})
	if err != nil {
		t.Fatal(err)
	}
	slots := map[string]authz.Token{"users": want.Tokens["users"], "stranger": {Status: authz.TokenValid}}
	stated := want.Tokens["users"]
	stated.Claims = maps.Clone(stated.Claims)
	stated.Claims["scope"] = "a b"
	slots["users"] = stated
	got, err := v.InsecureSuppose(slots)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-Verify +InsecureSuppose):\n%s", diff)
	}

	slots["devices"] = authz.Token{Status: authz.TokenValid, Claims: map[string]any{"sub": "d"}}
	if got, err = v.InsecureSuppose(slots); err != nil {
		t.Fatal(err)
	}
	wantHeaders := []authz.Header{{Name: "x-user", Value: "alice"}, {Name: "x-payload", Value: "eyJzdWIiOiJkIn0"}, {Name: "x-device", Value: "d"}}
	if diff := cmp.Diff(wantHeaders, got.Upstream.SetHeaders); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got.Tokens["devices"].Issuer != "https://devices.invalid" {
		t.Errorf("issuer %q", got.Tokens["devices"].Issuer)
	}
	if _, err := v.InsecureSuppose(nil); authz.ReasonOf(err) != authz.TokenRequired {
		t.Errorf("without the token that is required: %v", err)
	}
	slots["devices"] = authz.Token{Status: authz.TokenValid, Claims: map[string]any{"sub": "a\nb"}}
	if _, err := v.InsecureSuppose(slots); authz.ReasonOf(err) != authz.TokenClaims {
		t.Errorf("a claim that no header can hold: %v", err)
	}
}
