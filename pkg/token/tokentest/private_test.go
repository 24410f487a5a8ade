package tokentest_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

func TestPrivateJWK(t *testing.T) {
	for _, alg := range []string{"RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			made, err := tokentest.NewKey("k", alg, "private")
			if err != nil {
				t.Fatal(err)
			}
			jwk, err := made.PrivateJWK()
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(jwk)
			if err != nil {
				t.Fatal(err)
			}
			read, err := tokentest.ParseKey(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(made.JWK(), read.JWK()); diff != "" {
				t.Errorf("public half (-made +read):\n%s", diff)
			}
			again, err := read.PrivateJWK()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(jwk, again); diff != "" {
				t.Error("the private half changed on the way")
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":             "secret",
		"a public key":        `{"alg":"ES256","kid":"k","kty":"EC","crv":"P-256","x":"AA","y":"AA"}`,
		"no kid":              `{"alg":"ES256","d":"secret"}`,
		"HMAC":                `{"alg":"HS256","kid":"k","d":"secret"}`,
		"not base64url":       `{"alg":"ES256","kid":"k","d":"secret!"}`,
		"a short scalar":      `{"alg":"ES256","kid":"k","d":"AAAA"}`,
		"a short seed":        `{"alg":"EdDSA","kid":"k","d":"AAAA"}`,
		"RSA without primes":  `{"alg":"RS256","kid":"k","n":"AAAA","e":"AQAB","d":"AAAA"}`,
		"RSA that is no key":  `{"alg":"RS256","kid":"k","n":"AQAB","e":"AQAB","d":"AQAB","p":"AQAB","q":"AQAB"}`,
		"an exponent too far": `{"alg":"RS256","kid":"k","n":"AQAB","e":"AQABAQAB","d":"AQAB","p":"AQAB","q":"AQAB"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tokentest.ParseKey([]byte(text))
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want an error that does not quote the key", err)
			}
		})
	}
}

// TestThumbprint takes the example of RFC 7638, section 3.1.
func TestThumbprint(t *testing.T) {
	n, err := base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	if err != nil {
		t.Fatal(err)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	key := &tokentest.Key{ID: "2011-04-29", Algorithm: "RS256", Private: &rsa.PrivateKey{PublicKey: *public}}
	got, err := key.Thumbprint()
	if err != nil {
		t.Fatal(err)
	}
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
