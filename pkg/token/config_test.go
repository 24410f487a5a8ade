package token_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// inlineRule is a good rule, changed.
func inlineRule(t testing.TB, change func(*token.Rule)) token.Rule {
	t.Helper()
	key, err := tokentest.NewKey("k", "ES256", "config")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(tokentest.KeySet(key))
	if err != nil {
		t.Fatal(err)
	}
	r := rule("users", "https://issuer.example", func(r *token.Rule) { r.JWKS = string(text) })
	if change != nil {
		change(&r)
	}
	return r
}

func TestMistakes(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.json")
	for _, test := range []struct {
		name   string
		change func(*token.Rule)
		want   string
	}{
		{"no name", func(r *token.Rule) { r.Name = "" }, "name: is missing"},
		{"no issuer", func(r *token.Rule) { r.Issuer = "" }, "issuer: is missing"},
		{"no audiences", func(r *token.Rule) { r.Audiences = nil }, "audiences: is missing"},
		{"an empty audience", func(r *token.Rule) { r.Audiences = []string{""} }, "audiences: is missing"},
		{"HMAC", func(r *token.Rule) { r.Algorithms = []string{"HS256"} }, `algorithms: "HS256" is none`},
		{"none", func(r *token.Rule) { r.Algorithms = []string{"none"} }, `algorithms: "none" is none`},
		{"a DPoP proof", func(r *token.Rule) { r.Types = []string{"application/DPoP+jwt"} }, "is not the type of an access token"},
		{"two sources", func(r *token.Rule) { r.JWKSURI = "https://issuer.example/jwks" }, "jwksUri: jwks is given too"},
		{"no set", func(r *token.Rule) { r.JWKS = "{}" }, "jwks: JWK set: no array"},
		{"an empty set", func(r *token.Rule) { r.JWKS = `{"keys":[]}` }, "no key that can verify"},
		{"a member twice", func(r *token.Rule) { r.JWKS = `{"keys":[],"keys":[]}` }, "jwks: JWK set: a member that comes twice"},
		{"a symmetric key", func(r *token.Rule) { r.JWKS = `{"keys":[{"kty":"oct","k":"AAAA"}]}` }, "no key that can verify"},
		{"no file", func(r *token.Rule) { r.JWKS, r.JWKSFile = "", missing }, "jwksFile: "},
		{"a directory", func(r *token.Rule) { r.JWKS, r.JWKSFile = "", filepath.Dir(missing) }, "jwksFile: not a regular file"},
		{"plain HTTP", func(r *token.Rule) { r.JWKS, r.JWKSURI = "", "http://issuer.example/jwks" }, "jwksUri: plain http is only for loopback"},
		{"a password", func(r *token.Rule) { r.JWKS, r.JWKSURI = "", "https://a:hunter2@issuer.example/jwks" }, "jwksUri: has a user or password"},
		{"another scheme", func(r *token.Rule) { r.JWKS, r.JWKSURI = "", "file:///jwks" }, "jwksUri: not an http or https URL"},
		{"discovery without a URL", func(r *token.Rule) { r.JWKS, r.Issuer = "", "issuer" }, "OpenID discovery is not possible"},
		{"discovery over plain HTTP", func(r *token.Rule) { r.JWKS, r.Issuer = "", "http://issuer.example" }, "plain http is only for loopback"},
		{"discovery with a query", func(r *token.Rule) { r.JWKS, r.Issuer = "", "https://issuer.example/?a=b" }, "has a query"},
		{"a bad header", func(r *token.Rule) { r.FromHeaders = []token.HeaderSource{{Name: "a b"}} }, "fromHeaders: "},
		{"the cookie header", func(r *token.Rule) { r.FromHeaders = []token.HeaderSource{{Name: "Cookie"}} }, "fromHeaders: "},
		{"a pseudo-header", func(r *token.Rule) { r.FromHeaders = []token.HeaderSource{{Name: ":path"}} }, "fromHeaders: "},
		{"a bad cookie", func(r *token.Rule) { r.FromCookies = []string{"a=b"} }, "fromCookies: "},
		{"an empty parameter", func(r *token.Rule) { r.FromParams = []string{""} }, "fromParams: "},
		{"a header twice", func(r *token.Rule) { r.FromHeaders = []token.HeaderSource{{Name: "X-Token"}, {Name: "x-token"}} }, "reads the same header"},
		{"a header with and without prefix", func(r *token.Rule) {
			r.FromHeaders = []token.HeaderSource{{Name: "X-Token"}, {Name: "X-Token", Prefix: "Bearer "}}
		}, "is read with two prefixes"},
		{"an output that is no header", func(r *token.Rule) { r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "x user", Claim: "sub"}} }, "is not a header name"},
		{"an output without claim", func(r *token.Rule) { r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "x-user"}} }, "claim"},
		{"host as output", func(r *token.Rule) { r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "Host", Claim: "sub"}} }, "steers the proxy"},
		{"a path of Envoy's as output", func(r *token.Rule) {
			r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "X-Envoy-Original-Path", Claim: "sub"}}
		}, "steers the proxy"},
		{"an output twice", func(r *token.Rule) {
			r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "x-user", Claim: "sub"}, {Header: "X-User", Claim: "name"}}
		}, `"x-user" is set twice`},
		{"the token's header as output", func(r *token.Rule) {
			r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "authorization", Claim: "sub"}}
		}, "carries a token and is set from a claim"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, err := token.New(t.Context(), token.Config{Rules: []token.Rule{inlineRule(t, test.change)}})
			if err == nil {
				v.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "token: configure: rules") {
				t.Errorf("error %q, want %q in it and the rule before it", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes a password: %v", err)
			}
		})
	}
}

func TestMistakesOfSeveralRulesComeTogether(t *testing.T) {
	_, err := token.New(t.Context(), token.Config{
		Leeway:        time.Hour,
		MaxTokenBytes: 1 << 20,
		Rules: []token.Rule{
			inlineRule(t, func(r *token.Rule) { r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "x-user", Claim: "sub"}} }),
			inlineRule(t, func(r *token.Rule) {
				r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "x-user", Claim: "sub"}}
				r.Audiences = nil
			}),
		},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"leeway: more than 5m0s", "maxTokenBytes: ", `rules[1] "users": name: another rule has it`, `rules[1] "users": audiences: `,
		`rules[1] "users": outputClaimToHeaders: "x-user" is set twice`, `rules[1] "users": issuer: rule "users" reads the same header "authorization"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestGoodConfigurations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(inlineRule(t, nil).JWKS), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*token.Rule)
	}{
		{"as it is", nil},
		{"an issuer that is no URL", func(r *token.Rule) { r.Issuer = "issuer" }},
		{"a file", func(r *token.Rule) { r.JWKS, r.JWKSFile = "", file }},
		{"loopback", func(r *token.Rule) { r.JWKS, r.JWKSURI = "", "http://[::1]:1/jwks" }},
		{"plain HTTP on purpose", func(r *token.Rule) { r.JWKS, r.JWKSURI, r.AllowInsecureHTTP = "", "http://issuer.invalid/jwks", true }},
		{"the name of RFC 9864", func(r *token.Rule) { r.Algorithms = []string{"Ed25519"} }},
		{"two schemes in a header", func(r *token.Rule) {
			r.FromHeaders = []token.HeaderSource{{Name: "Authorization", Prefix: "Bearer "}, {Name: "Authorization", Prefix: "Token "}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, err := token.New(t.Context(), token.Config{Rules: []token.Rule{inlineRule(t, test.change)}})
			if err != nil {
				t.Fatal(err)
			}
			v.Close()
		})
	}
}
