package differential_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/c2sp/wycheproof"
	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
)

// A group is one key or key set of Project Wycheproof, and what was made with it.
type group struct {
	Comment string
	Public  json.RawMessage
	Private json.RawMessage
	Tests   []struct {
		ID      int `json:"tcId"`
		Comment string
		JWS     json.RawMessage
		JWE     json.RawMessage
		Result  string
	}
}

func groups(t *testing.T, file string) []group {
	t.Helper()
	text, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct{ TestGroups []group }
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors.TestGroups
}

// members are the keys of a group, private halves and all.
func members(t *testing.T, text json.RawMessage) []map[string]any {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys != nil {
		return set.Keys
	}
	var key map[string]any
	if err := json.Unmarshal(text, &key); err != nil {
		t.Fatal(err)
	}
	return []map[string]any{key}
}

// published is the key set of the group as an issuer would publish it, by mistake with the
// symmetric keys, which have no public half.
func (g group) published(t *testing.T) string {
	t.Helper()
	text := g.Public
	if text == nil {
		text = g.Private
	}
	return written(t, map[string]any{"keys": members(t, text)})
}

// door is a Verifier with the group's key set; nil where the set is refused, and no token of the
// issuer can be taken at all.
func (g group) door(t *testing.T) *token.Verifier {
	t.Helper()
	v, err := token.New(t.Context(), token.Config{
		Rules:  []token.Rule{{Name: "users", Issuer: "https://issuer.example", Audiences: []string{"orders"}, JWKS: g.published(t)}},
		Logger: slog.New(slog.DiscardHandler),
		Now:    func() time.Time { return time.Unix(standing, 0) },
	})
	if err != nil {
		return nil
	}
	t.Cleanup(func() { v.Close() })
	return v
}

var files = []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_encryption_test.json", "json_web_crypto_test.json"}

// Nothing in the public vectors for signatures, keys and encryption is a token.
func TestWycheproofAtTheDoor(t *testing.T) {
	counts := make(map[authz.Reason]int)
	for _, file := range files {
		for _, g := range groups(t, file) {
			v := g.door(t)
			for _, each := range g.Tests {
				for _, form := range []json.RawMessage{each.JWS, each.JWE} {
					if v == nil || form == nil {
						continue
					}
					text := string(form)
					if json.Unmarshal(form, &text) != nil {
						text = string(form) // in JSON serialization
					}
					_, err := v.Verify(t.Context(), bearer(text))
					if err == nil {
						t.Errorf("%s %d %s: accepted", file, each.ID, each.Comment)
					}
					counts[authz.ReasonOf(err)]++
				}
			}
		}
	}
	t.Logf("refused: %v", counts)
	if len(counts) == 0 {
		t.Error("no vector was tried")
	}
}

// refusedKeys are the groups, by comment, whose keys must not verify even good claims that they
// signed, with the reason. HMAC is not listed: see refuses.
var refusedKeys = map[string]string{
	"keysize_too_small":     "RSA of 1024 bits",
	"exponentOne":           "RSA with exponent 1",
	"wrong_algorithm":       "alg ES521 does not exist",
	"invalid_algorithm":     "alg ES224 does not exist",
	"invalid_use":           "use is enc",
	"rsa_encryption":        "use is enc, or key_ops are to encrypt",
	"ec_key_for_encryption": "use is enc, or key_ops are to encrypt",
	"invalid_point":         "not on the curve",
	"wrong_curve":           "not on the curve",
	"wrong_kty":             "not an RSA key",
	"jws_rsa_roca_key":      "its factors can be found (CVE-2017-15361)",
}

// refuses tells why no token may be taken that the group's first key signed; "" where it must be.
func (g group) refuses(t *testing.T) string {
	t.Helper()
	switch key := members(t, g.Private)[0]; {
	case key["kty"] == "oct":
		return "HMAC, or AES"
	case key["alg"] == "ES521":
		return "alg ES521 does not exist"
	case key["use"] == "enc":
		return "use is enc"
	}
	return refusedKeys[g.Comment]
}

// Keys that the public vectors call invalid verify nothing, not even good claims that they signed
// themselves; the others do, unless our policy says why not.
func TestWycheproofKeys(t *testing.T) {
	verdicts := make(map[string]int)
	for _, file := range []string{"json_web_signature_test.json", "json_web_key_test.json"} {
		for i, g := range groups(t, file) {
			t.Run(fmt.Sprintf("%s/%d/%s", file, i, g.Comment), func(t *testing.T) {
				why, v, text := g.refuses(t), g.door(t), g.sign(t)
				switch {
				case v == nil && why == "":
					t.Fatal("the key set is refused")
				case v == nil:
					verdicts["set refused: "+why]++
					return
				case text == "":
					t.Fatal("the other library cannot sign with such a key")
				}
				_, err := v.Verify(t.Context(), bearer(text))
				if (err == nil) != (why == "") {
					t.Errorf("error %v, want one: %t (%s)", err, why != "", why)
				}
				verdict := authz.Allowed
				if err != nil {
					verdict = authz.ReasonOf(err)
				}
				verdicts[string(verdict)+": "+why]++
			})
		}
	}
	for _, verdict := range slices.Sorted(maps.Keys(verdicts)) {
		t.Logf("%2d %s", verdicts[verdict], verdict)
	}
}

// sign makes good claims with the group's first key, by go-jose; "" where it refuses that key.
func (g group) sign(t *testing.T) string {
	t.Helper()
	member := maps.Clone(members(t, g.Private)[0])
	alg, _ := member["alg"].(string)
	delete(member, "key_ops")
	var key jose.JSONWebKey
	if err := json.Unmarshal([]byte(written(t, member)), &key); err != nil {
		t.Log(err)
		return ""
	}
	if alg == "" || len(alg) > 5 {
		alg = map[any]string{"RSA": "RS256", "EC": "ES256"}[member["kty"]]
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, nil)
	if err != nil {
		t.Log(err)
		return ""
	}
	claims := fmt.Sprintf(`{"iss":"https://issuer.example","aud":"orders","exp":%d}`, standing+60)
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Log(err)
		return ""
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
