package token_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// inlineVerifier believes https://issuer.example with the keys of a JWK set, at a standing clock.
func inlineVerifier(t testing.TB, jwks string) (*token.Verifier, error) {
	t.Helper()
	return token.New(t.Context(), token.Config{
		Rules:  []token.Rule{{Name: "users", Issuer: "https://issuer.example", Audiences: []string{"orders"}, JWKS: jwks}},
		Logger: slog.New(slog.DiscardHandler),
		Now:    func() time.Time { return time.Unix(1_900_000_000, 0) },
	})
}

// FuzzDecoder signs what it is given, so that the header and claims decoder is all that stands
// between bytes and an identity. Whatever passes must be what encoding/json reads, and no member
// may come twice.
func FuzzDecoder(f *testing.F) {
	key, err := tokentest.NewKey("k", "EdDSA", "fuzz")
	if err != nil {
		f.Fatal(err)
	}
	verifier, err := inlineVerifier(f, compact(f, tokentest.KeySet(key)))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { verifier.Close() })
	const header = `{"alg":"EdDSA","kid":"k","typ":"JWT"}`
	for _, claims := range []string{
		`{"iss":"https://issuer.example","aud":"orders","exp":1900003600}`,
		` {"iss":"https:\/\/issuer.example","aud":["orders","x"],"exp":1.9000036e9,"a":{"b":[true,null,-0.5]}} `,
		`{"iss":"https://issuer.example","aud":"orders","exp":1900003600,"sub":"\ud83d\ude00\u00e9"}`,
		`{"iss":"https://issuer.example","aud":"orders","exp":1900003600,"a":{"b":1,"\u0062":2}}`,
		`{"iss":"https://issuer.example","aud":"orders","exp":1900003600,"EXP":1}`,
		`{"iss":"https://issuer.example","aud":"orders","exp":1900003600,"iat":1e400}x`,
	} {
		f.Add([]byte(header), []byte(claims))
	}
	f.Fuzz(func(t *testing.T, header, claims []byte) {
		text, err := key.SignBytes(header, claims)
		if err != nil {
			t.Fatal(err)
		}
		id, err := verifier.Verify(t.Context(), bearer(text))
		if err != nil {
			return
		}
		slot := id.Tokens["users"]
		if slot.Status != authz.TokenValid {
			t.Fatalf("status %q without an error", slot.Status)
		}
		if diff := cmp.Diff(plainly(t, claims), slot.Claims); diff != "" {
			t.Errorf("claims (-encoding/json +Verify):\n%s", diff)
		}
		for name, value := range slot.Header {
			if plainly(t, header)[name] != value {
				t.Errorf("header %q is %v", name, value)
			}
		}
	})
}

// plainly reads an object as encoding/json does, and fails on what that reader forgives.
func plainly(t *testing.T, text []byte) map[string]any {
	t.Helper()
	if !utf8.Valid(text) {
		t.Fatal("not UTF-8")
	}
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&object); err != nil || !json.Valid(text) {
		t.Fatalf("not JSON: %v", err)
	}
	if written, read := namesIn(text), membersOf(object); written != read {
		t.Fatalf("%d members are written and %d read: one comes twice", written, read)
	}
	return object
}

// namesIn counts the members that a JSON text has, at all depths: the colons outside of strings.
func namesIn(text []byte) (count int) {
	inside, escaped := false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case inside && c == '\\':
			escaped = true
		case c == '"':
			inside = !inside
		case c == ':' && !inside:
			count++
		}
	}
	return count
}

func membersOf(value any) (count int) {
	switch v := value.(type) {
	case map[string]any:
		count = len(v)
		for _, member := range v {
			count += membersOf(member)
		}
	case []any:
		for _, element := range v {
			count += membersOf(element)
		}
	}
	return count
}

// FuzzKeySet reads JWK sets. One that is taken is an object that has a public key of a kind that
// signs, and no reader can find another member in it.
func FuzzKeySet(f *testing.F) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		key, err := tokentest.NewKey("k", alg, "fuzz")
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(compact(f, tokentest.KeySet(key))))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, jwks []byte) {
		if len(jwks) == 0 {
			return // no set is given, so the rule asks for discovery
		}
		verifier, err := inlineVerifier(t, string(jwks))
		if err != nil {
			return
		}
		verifier.Close()
		kinds := make(map[any]bool)
		keys, _ := plainly(t, jwks)["keys"].([]any)
		for _, key := range keys {
			jwk, _ := key.(map[string]any)
			kinds[jwk["kty"]] = true
		}
		if !kinds["RSA"] && !kinds["EC"] && !kinds["OKP"] {
			t.Errorf("a set of %d keys, none of which could verify, was taken", len(keys))
		}
	})
}

func compact(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
