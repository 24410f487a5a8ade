package main

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// now is the instant at which vectors are judged.
const now = 1900000000

// The issuers of the suite.
const (
	usersIssuer    = "https://users.example"
	partnerIssuer  = "https://partner.example/tenant"
	workloadIssuer = "https://workload.example"
	bareIssuer     = "https://bare.example" // whose one key has no kid
	oddIssuer      = "https://odd.example"  // whose JWK set has all sorts of keys
)

// A forge makes tokens, good ones and bad ones. It keeps its first failure.
type forge struct {
	keysByID map[string]*tokentest.Key
	err      error
}

func newForge() (*forge, error) {
	f := &forge{keysByID: make(map[string]*tokentest.Key)}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		f.key(strings.ToLower(alg), alg)
	}
	f.key("partner", "ES256")
	f.key("workload", "ES256")
	f.key("svid-es256", "ES256")
	f.key("svid-rs256", "RS256")
	f.key("svid-ps384", "PS384")
	f.key("svid-eddsa", "EdDSA")
	f.key("svid-x509", "ES256")
	f.key("svid-signature", "ES256")
	f.key("svid-no-use", "ES256")
	for _, id := range []string{"twice", "encrypting", "svid", "signing", "checking", "leaked", "unnamed-alg", "p384-no-alg", "rfc9864"} {
		f.key(id, map[string]string{"p384-no-alg": "ES384", "rfc9864": "EdDSA"}[id])
	}
	f.weak("rsa-1024", 1024, 65537)
	f.weak("rsa-1536", 1536, 65537)
	f.weak("rsa-e3", 2048, 3)
	return f, f.err
}

// fail keeps the first failure.
func (f *forge) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// misfit notes a key that is not of the kind that its user expects; it stands for a token.
func (f *forge) misfit(id string) string {
	f.fail(fmt.Errorf("key %q is of type %T", id, f.keysByID[id].Private))
	return ".."
}

// key makes a key from a seed of its own; "" stands for ES256.
func (f *forge) key(id, alg string) {
	if alg == "" {
		alg = "ES256"
	}
	k, err := tokentest.NewKey(id, alg, "vectors/"+id)
	f.fail(err)
	f.keysByID[id] = k
}

func (f *forge) weak(id string, bits, exponent int) {
	f.key(id, "RS256")
	var seed [32]byte
	copy(seed[:], id)
	private, err := tokentest.NewRSA(mathrand.NewChaCha8(seed), bits, exponent)
	f.fail(err)
	f.keysByID[id].Private = private
}

func (f *forge) suite() suite {
	return suite{Now: now, Rules: []token.Rule{
		{
			Name: "users", Issuer: usersIssuer, Audiences: []string{"orders", "carts"},
			JWKS:        f.set("rs256", "rs384", "rs512", "ps256", "ps384", "ps512", "es256", "es384", "es512", "eddsa"),
			FromHeaders: []token.HeaderSource{{Name: "Authorization", Prefix: "Bearer "}},
			FromCookies: []string{"session"}, FromParams: []string{"access_token"},
			OutputClaimToHeaders: []token.ClaimHeader{{Header: "x-user", Claim: "name"}},
		},
		{
			Name: "partner", Issuer: partnerIssuer, Audiences: []string{"orders"}, JWKS: f.set("partner"),
			Algorithms: []string{"ES256"}, Types: []string{"at+jwt"},
		},
		{
			Name: "workload", Issuer: workloadIssuer, Audiences: []string{"mesh"}, JWKS: f.set("workload"),
			FromHeaders: []token.HeaderSource{{Name: "X-Workload-Token"}},
		},
		{
			Name: "bare", Issuer: bareIssuer, Audiences: []string{"orders"}, JWKS: f.bareSet(),
			FromHeaders: []token.HeaderSource{{Name: "X-Bare-Token"}},
		},
		{
			Name: "svid", TrustDomain: trustDomain, Audiences: []string{"orders"}, JWKS: f.bundle(), MaxLifetime: 2 * time.Hour,
		},
		{Name: "odd", Issuer: oddIssuer, Audiences: []string{"orders"}, JWKS: f.oddSet()},
	}}
}

func (f *forge) set(ids ...string) string {
	var keys []*tokentest.Key
	for _, id := range ids {
		keys = append(keys, f.keysByID[id])
	}
	return f.json(tokentest.KeySet(keys...))
}

func (f *forge) bareSet() string {
	return f.json(map[string]any{"keys": []any{tokentest.Change(f.keysByID["eddsa"].JWK(), map[string]any{"kid": nil})}})
}

// oddSet has keys that must not be used beside some that may.
func (f *forge) oddSet() string {
	var members []any
	add := func(id string, changes map[string]any) {
		members = append(members, tokentest.Change(f.keysByID[id].JWK(), changes))
	}
	for _, id := range []string{"rsa-1024", "rsa-1536", "rsa-e3", "checking", "twice", "twice"} {
		add(id, nil)
	}
	add("encrypting", map[string]any{"use": "enc"})
	add("svid", map[string]any{"use": "jwt-svid"})
	add("signing", map[string]any{"key_ops": []any{"sign"}})
	add("leaked", map[string]any{"d": "AQAB"})
	add("unnamed-alg", map[string]any{"alg": nil, "use": nil, "key_ops": []any{"verify"}})
	add("p384-no-alg", map[string]any{"alg": nil})
	add("rfc9864", map[string]any{"alg": "Ed25519"})
	point := f.keysByID["es256"].JWK()
	return f.json(map[string]any{"keys": append(members,
		map[string]any{"kty": "oct", "kid": "symmetric", "alg": "HS256", "k": encode([]byte("0123456789abcdef0123456789abcdef"))},
		map[string]any{"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AQAB"},
		map[string]any{"kty": "EC", "kid": "koblitz", "crv": "secp256k1", "x": point["x"], "y": point["y"]},
		map[string]any{"kty": "EC", "kid": "off-curve", "crv": "P-256", "x": point["y"], "y": point["x"]},
		map[string]any{"kty": "OKP", "kid": "x25519", "crv": "X25519", "x": f.keysByID["eddsa"].JWK()["x"]},
		map[string]any{"kty": "RSA", "kid": "rsa-8200", "e": "AQAB", "n": encode(append([]byte{0x80}, odd(1024)...))},
		map[string]any{"kty": "RSA", "kid": "rsa-e-wraps", "e": "AQAAAAAAAQAB", "n": f.keysByID["rs256"].JWK()["n"]},
		map[string]any{"kty": "RSA", "kid": 7, "e": "AQAB", "n": f.keysByID["rs256"].JWK()["n"]},
		"not a key",
	)})
}

// odd is a number of n bytes, all of them odd.
func odd(n int) []byte { return []byte(strings.Repeat("\x01", n)) }

// claimsOf are the claims of a good token of the users issuer, changed.
func claimsOf(changes map[string]any) map[string]any {
	return tokentest.Change(map[string]any{
		"iss": usersIssuer, "sub": "alice", "aud": "orders", "iat": now - 60, "exp": now + 3600,
	}, changes)
}

// profile are the claims of a good token by RFC 9068, changed.
func profile(changes map[string]any) map[string]any {
	return tokentest.Change(claimsOf(map[string]any{"client_id": "shop", "jti": "1"}), changes)
}

// sign makes a token with a key, its header and claims changed.
func (f *forge) sign(id string, header, claims map[string]any) string {
	text, err := f.keysByID[id].Sign(header, claimsOf(claims))
	f.fail(err)
	return text
}

// good is a good token with changed claims, and headed one with a changed header.
func (f *forge) good(claims map[string]any) string   { return f.sign("es256", nil, claims) }
func (f *forge) headed(header map[string]any) string { return f.sign("es256", header, nil) }

// raw signs a header and payload as they stand.
func (f *forge) raw(header, payload string) string {
	text, err := f.keysByID["es256"].SignBytes([]byte(header), []byte(payload))
	f.fail(err)
	return text
}

// Texts of a good header and payload, to be changed as texts.
func (f *forge) headerText() string { return `{"alg":"ES256","kid":"es256","typ":"JWT"}` }
func (f *forge) claimsText() string { return f.json(claimsOf(nil)) }

// payload signs a payload text, and with signs the good one with a member added at its end.
func (f *forge) payload(text string) string { return f.raw(f.headerText(), text) }
func (f *forge) with(member string) string {
	return f.payload(strings.TrimSuffix(f.claimsText(), "}") + "," + member + "}")
}

func (f *forge) json(value any) string {
	text, err := json.Marshal(value)
	f.fail(err)
	return string(text)
}

func encode(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }

// cut takes a token apart.
func cut(text string) (header, payload, signature string) {
	parts := strings.SplitN(text, ".", 3)
	return parts[0], parts[1], parts[2]
}

// bearer is a request with an Authorization header, and what becomes of it.
func bearer(name, text string, want authz.Reason) vector {
	return headers(name, map[string][]string{"authorization": {"Bearer " + text}}, want)
}

// valid is a request that is let through with a user's token.
func valid(name, text string) vector {
	v := bearer(name, text, authz.Allowed)
	v.Valid = []string{"users"}
	return v
}

// header is a request with one Authorization header.
func authorization(name, value string, want authz.Reason) vector {
	return headers(name, map[string][]string{"authorization": {value}}, want)
}

func headers(name string, values map[string][]string, want authz.Reason, slots ...string) vector {
	return vector{Name: name, Headers: maps.Clone(values), Want: want, Valid: slots}
}

// size is the length in bytes of a coordinate.
func size(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }
