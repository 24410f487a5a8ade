package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// pasted puts what stands under jwtRules of a RequestAuthentication under jwt.rules.
func pasted(rules string) []byte {
	return []byte("jwt:\n  rules:" + strings.ReplaceAll(rules, "\n", "\n  "))
}

// istioRules are as Istio takes them.
var istioRules = map[string]string{
	"every field": `
- issuer: "https://accounts.example.com"
  audiences:
  - bookstore.example.com
  - "https://shop.example.com/"
  jwksUri: "https://accounts.example.com/oauth2/v1/certs"
  fromHeaders:
  - name: x-jwt-assertion
    prefix: "JWT "
  - name: Authorization
    prefix: "Bearer "
  fromParams: ["access_token"]
  fromCookies: ["auth-token"]
  outputPayloadToHeader: x-jwt-payload
  forwardOriginalToken: true
  outputClaimToHeaders:
  - header: x-user
    claim: sub
  - header: x-team
    claim: org.team
  timeout: 10s
  spaceDelimitedClaims: [groups, permission]
`,
	"the least": `
- issuer: robot@project.iam.example.com
  audiences: [orders]
  jwksUri: https://www.example.com/robot/v1/metadata/jwk/robot@project.iam.example.com
`,
	"keys inline": `
- issuer: testing@secure.example.com
  audiences: [orders]
  jwks: |
    { "keys": [ {"e": "AQAB", "kid": "a", "kty": "RSA", "n": "AQAB"} ] }
`,
}

func TestIstioRules(t *testing.T) {
	usual := []config.HeaderSource{{Name: "authorization", Prefix: "Bearer "}}
	for name, want := range map[string]config.Rule{
		"every field": {
			Name: "default", Issuer: "https://accounts.example.com", Audiences: []string{"bookstore.example.com", "https://shop.example.com/"},
			JWKSURI:     "https://accounts.example.com/oauth2/v1/certs",
			FromHeaders: []config.HeaderSource{{Name: "x-jwt-assertion", Prefix: "JWT "}, usual[0]},
			FromParams:  []string{"access_token"}, FromCookies: []string{"auth-token"},
			OutputPayloadToHeader: "x-jwt-payload", ForwardOriginalToken: true,
			OutputClaimToHeaders: []config.ClaimToHeader{{Header: "x-user", Claim: "sub"}, {Header: "x-team", Claim: "org.team"}},
			Timeout:              10 * time.Second, SpaceDelimitedClaims: []string{"groups", "permission"},
		},
		"the least": {
			Name: "default", Issuer: "robot@project.iam.example.com", Audiences: []string{"orders"}, FromHeaders: usual, Timeout: 5 * time.Second,
			JWKSURI: "https://www.example.com/robot/v1/metadata/jwk/robot@project.iam.example.com",
		},
		"keys inline": {
			Name: "default", Issuer: "testing@secure.example.com", Audiences: []string{"orders"}, FromHeaders: usual, Timeout: 5 * time.Second,
			JWKS: `{ "keys": [ {"e": "AQAB", "kid": "a", "kty": "RSA", "n": "AQAB"} ] }` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse("f.yaml", pasted(istioRules[name]))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]config.Rule{want}, cfg.JWT.Rules); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestIstioDifferences holds that what means something else here is refused with what to do, and
// never taken in silence.
func TestIstioDifferences(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"any audience", string(pasted("\n- issuer: https://a.example.com\n")), []string{
			"3:5: jwt.rules[0].audiences: " + noAudiences}},
		{"any issuer", string(pasted("\n- jwksUri: https://a.example.com/jwks\n  audiences: [x]\n")), []string{
			"3:5: jwt.rules[0].issuer: required: a rule believes one issuer"}},
		{"several rules", string(pasted("\n- issuer: https://a.example.com\n  audiences: [x]\n- issuer: https://b.example.com\n  audiences: [x]\n")), []string{
			"3:5: jwt.rules[0].name: " + noName,
			"5:5: jwt.rules[1].name: " + noName}},
		{"a prefix without its space", string(pasted("\n- issuer: https://a.example.com\n  audiences: [x]\n  fromHeaders: [{name: a, prefix: Bearer}]\n")), []string{
			`5:37: jwt.rules[0].fromHeaders[0].prefix: must end with what parts it from the token; did you mean "Bearer "?`}},
		{"keys over plain HTTP", string(pasted("\n- issuer: a\n  audiences: [x]\n  jwksUri: http://keycloak.auth.svc/certs\n")), []string{
			"5:14: jwt.rules[0].jwksUri: must be https; plain http needs a loopback host or allowInsecureHTTP: true"}},
		{"the names of the proto", string(pasted("\n- issuer: a\n  audiences: [x]\n  jwks_uri: https://a.example.com/certs\n")), []string{
			`5:5: jwt.rules[0].jwks_uri: unknown field; did you mean "jwksUri"?`}},
		{"the whole resource", "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nspec:\n  jwtRules: []\n", []string{
			"1:1: apiVersion: unknown field", "2:1: kind: unknown field", "3:1: spec: unknown field"}},
	})
}
