package token_test

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// withKeys is a rule with an issuer's keys in it.
func withKeys(t testing.TB, name string, i *tokentest.Issuer, change func(*token.Rule)) token.Rule {
	t.Helper()
	keys, err := json.Marshal(i.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	r := rule(name, i.URL, change)
	r.JWKS = string(keys)
	return r
}

func quietly(t *testing.T, rules ...token.Rule) *token.Verifier {
	t.Helper()
	return start(t, token.Config{Logger: slog.New(slog.DiscardHandler), Rules: rules})
}

// states are the slots of an identity, as policy sees them.
func states(id authz.Identity) map[string]authz.TokenStatus {
	all := make(map[string]authz.TokenStatus)
	for name, token := range id.Tokens {
		all[name] = token.Status
	}
	return all
}

func TestRequired(t *testing.T) {
	users := quietIssuer(t, "https://users.example", tokentest.Config{})
	shops := quietIssuer(t, "https://shops.example", tokentest.Config{})
	v := quietly(t,
		withKeys(t, "users", users, nil),
		withKeys(t, "shops", shops, func(r *token.Rule) {
			r.Required, r.FromHeaders = true, []token.HeaderSource{{Name: "X-Shop"}}
		}))
	user, shop := sign(t, users.Key("ES256"), users.Claims("orders")), sign(t, shops.Key("ES256"), shops.Claims("orders"))
	missing, valid := authz.TokenMissing, authz.TokenValid
	for _, test := range []struct {
		name      string
		req       *authz.Request
		want      authz.Reason
		wantSlots map[string]authz.TokenStatus
	}{
		{"both", request(authz.Headers{"authorization": {"Bearer " + user}, "x-shop": {shop}}), authz.Allowed,
			map[string]authz.TokenStatus{"users": valid, "shops": valid}},
		{"the required one alone", request(authz.Headers{"x-shop": {shop}}), authz.Allowed,
			map[string]authz.TokenStatus{"users": missing, "shops": valid}},
		{"the other alone", bearer(user), authz.TokenRequired, map[string]authz.TokenStatus{"users": missing, "shops": missing}},
		{"none", request(nil), authz.TokenRequired, map[string]authz.TokenStatus{"users": missing, "shops": missing}},
		{"the required one in another place", bearer(shop), authz.TokenIssuerUnknown,
			map[string]authz.TokenStatus{"users": authz.TokenInvalid, "shops": missing}},
		{"a connection without HTTP", &authz.Request{}, authz.TokenRequired, map[string]authz.TokenStatus{"users": missing, "shops": missing}},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), test.req)
			if got := reasonOf(err); got != test.want {
				t.Errorf("reason %q, want %q (%v)", got, test.want, err)
			}
			if diff := cmp.Diff(test.wantSlots, states(id)); diff != "" {
				t.Errorf("slots (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParametersAndCookiesOnlyByWish: a token in a place that no rule names is no token.
func TestParametersAndCookiesOnlyByWish(t *testing.T) {
	i := quietIssuer(t, "https://users.example", tokentest.Config{})
	text := sign(t, i.Key("ES256"), i.Claims("orders"))
	path, err := authz.ParsePath("/orders?access_token=" + text)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*token.Rule)
		want   authz.TokenStatus
	}{
		{"places left open", nil, authz.TokenMissing},
		{"a header alone", func(r *token.Rule) { r.FromHeaders = []token.HeaderSource{{Name: "X-Token"}} }, authz.TokenMissing},
		{"another parameter", func(r *token.Rule) { r.FromParams = []string{"token"} }, authz.TokenMissing},
		{"another cookie", func(r *token.Rule) { r.FromCookies = []string{"token"} }, authz.TokenMissing},
		{"the parameter", func(r *token.Rule) { r.FromParams = []string{"access_token"} }, authz.TokenValid},
		{"the cookie", func(r *token.Rule) { r.FromCookies = []string{"session"} }, authz.TokenValid},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := quietly(t, withKeys(t, "users", i, test.change))
			req := request(authz.Headers{"cookie": {"session=" + text}, "x-other": {text}})
			req.HTTP.Path = path
			id, err := v.Verify(t.Context(), req)
			if err != nil || id.Tokens["users"].Status != test.want {
				t.Errorf("the slot is %q (%v), want %q", id.Tokens["users"].Status, err, test.want)
			}
		})
	}
}

// TestTwoTokensForOneSlot: a header and a cookie of one rule may not both hold a token, be it
// another or the same, new or known.
func TestTwoTokensForOneSlot(t *testing.T) {
	i := quietIssuer(t, "https://users.example", tokentest.Config{})
	v := quietly(t, withKeys(t, "users", i, func(r *token.Rule) {
		r.FromHeaders = []token.HeaderSource{{Name: "Authorization", Prefix: "Bearer "}}
		r.FromCookies = []string{"session"}
	}))
	one, other := sign(t, i.Key("ES256"), i.Claims("orders")), sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{"sub": "bob"}))
	for range 2 { // the second time, both are in the cache
		for _, second := range []string{one, other} {
			id, err := v.Verify(t.Context(), request(authz.Headers{"authorization": {"Bearer " + one}, "cookie": {"session=" + second}}))
			if reasonOf(err) != authz.TokenMultiple || id.Tokens["users"].Status != authz.TokenInvalid {
				t.Errorf("reason %q, slot %q", reasonOf(err), id.Tokens["users"].Status)
			}
		}
		want(t, v, one, authz.Allowed)
		if _, err := v.Verify(t.Context(), request(authz.Headers{"cookie": {"session=" + other}})); err != nil {
			t.Error(err)
		}
	}
}

// TestSharedPlace: rules that read one place are told apart by issuer, byte by byte, and by nothing else.
func TestSharedPlace(t *testing.T) {
	rules, issuers := []token.Rule{}, []*tokentest.Issuer{}
	for name, url := range map[string]string{"a": "https://issuer.example", "b": "https://issuer.example/", "c": "https://Issuer.example"} {
		i := quietIssuer(t, url, tokentest.Config{Seed: url})
		rules, issuers = append(rules, withKeys(t, name, i, nil)), append(issuers, i)
	}
	v := quietly(t, rules...)
	for n, i := range issuers {
		id, err := v.Verify(t.Context(), bearer(sign(t, i.Key("ES256"), i.Claims("orders"))))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			want := authz.TokenMissing
			if r.Name == rules[n].Name {
				want = authz.TokenValid
			}
			if got := id.Tokens[r.Name]; got.Status != want || want == authz.TokenValid && got.Issuer != i.URL {
				t.Errorf("a token of %s: slot %s is %q of %q", i.URL, r.Name, got.Status, got.Issuer)
			}
		}
		claims := tokentest.Change(i.Claims("orders"), map[string]any{"iss": i.URL + "x"})
		want(t, v, sign(t, i.Key("ES256"), claims), authz.TokenIssuerUnknown)
	}
}
