package token_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// start makes a Verifier that is ready, and closes it with the test.
func start(t *testing.T, cfg token.Config) *token.Verifier {
	t.Helper()
	v, err := token.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return v
}

func issuer(t *testing.T, cfg tokentest.Config) *tokentest.Issuer {
	t.Helper()
	i, err := tokentest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

func bearer(text string) *authz.Request {
	return request(authz.Headers{"authorization": {"Bearer " + text}})
}

func request(headers authz.Headers) *authz.Request {
	return &authz.Request{HTTP: &authz.HTTP{Method: "GET", Headers: headers}}
}

func TestVerifyFromRealIssuers(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  tokentest.Config
	}{
		{"plain HTTP on loopback", tokentest.Config{}},
		{"HTTPS", tokentest.Config{TLS: true, Algorithms: []string{"ES256"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := issuer(t, test.cfg)
			v := start(t, token.Config{RootCAs: i.Roots, Rules: []token.Rule{{Name: "users", Issuer: i.URL, Audiences: []string{"orders"}}}})
			for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
				key := i.Key(alg)
				if key == nil {
					continue
				}
				claims := i.Claims("orders")
				text, err := key.Sign(nil, claims)
				if err != nil {
					t.Fatal(err)
				}
				id, err := v.Verify(t.Context(), bearer(text))
				if err != nil {
					t.Fatalf("%s: %v", alg, err)
				}
				want := authz.Identity{
					Tokens: map[string]authz.Token{"users": {
						Status: authz.TokenValid, Issuer: i.URL, Claims: numbered(t, claims),
						Header: map[string]any{"alg": alg, "kid": key.ID, "typ": "JWT"},
					}},
					Upstream: authz.Mutation{RemoveHeaders: []string{"authorization"}},
				}
				if diff := cmp.Diff(want, id); diff != "" {
					t.Errorf("%s: identity (-want +got):\n%s", alg, diff)
				}
			}
		})
	}
}

// numbered turns the numbers of claims into json.Number, as they come out of a token.
func numbered(t *testing.T, claims map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out map[string]any
	if err := decoder.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}
