package token_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
)

// A wycheproofGroup is a key of Project Wycheproof, and what was signed with it, well or badly. What
// is signed are no claims, so that only this package can tell a signature refused from a payload
// refused; hack/differential tries the keys, and good claims, from outside.
type wycheproofGroup struct {
	Comment string
	Public  json.RawMessage
	Private json.RawMessage
	Tests   []wycheproofCase

	// Of the files that are not about JWS:
	PublicKeyJWK json.RawMessage `json:"publicKeyJwk"`
	KeyJWK       json.RawMessage `json:"keyJwk"`
	PublicKey    struct{ Uncompressed string }
}

type wycheproofCase struct {
	ID       int `json:"tcId"`
	Comment  string
	Flags    []string
	JWS      json.RawMessage
	Msg, Sig string // hex, in the files that are not about JWS
	Result   string
}

// wycheproof reads vectors of the version that hack/differential pins, from the module cache: they
// are no dependency of this module, and not copied here.
func wycheproof(t *testing.T, file string) []wycheproofGroup {
	t.Helper()
	fetch := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/c2sp/wycheproof")
	fetch.Dir = filepath.Join("..", "..", "hack", "differential")
	output, err := fetch.Output()
	var module struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(output, &module)
	}
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatalf("no vectors: %v", err)
	case err != nil:
		t.Skipf("NOT run: the vectors cannot be had: %v", err)
	}
	var vectors struct{ TestGroups []wycheproofGroup }
	readJSON(t, filepath.Join(module.Dir, "testvectors_v1", file), &vectors)
	return vectors.TestGroups
}

// verifier has the group's key; nil where no verifier can be had with it. A symmetric key has no
// public half.
func (g wycheproofGroup) verifier(t *testing.T) *token.Verifier {
	t.Helper()
	set := string(g.Public)
	if set == "" {
		set = string(g.Private)
	}
	return wycheproofVerifier(t, set)
}

func wycheproofVerifier(t *testing.T, jwks string) *token.Verifier {
	t.Helper()
	if !strings.Contains(jwks, `"keys":`) {
		jwks = `{"keys":[` + jwks + `]}`
	}
	v, err := token.New(t.Context(), token.Config{
		Rules:  []token.Rule{{Name: "users", Issuer: "https://issuer.example", Audiences: []string{"orders"}, JWKS: jwks}},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// A signatureTally counts verdicts by the suite's, ours, and the policy where they differ.
type signatureTally map[[3]string]int

// judge holds our verdict to the suite's. A vector that is valid must be accepted, if the policy
// does not name the Reason why it is not; then it must be refused for that.
func (c signatureTally) judge(t *testing.T, each wycheproofCase, p wycheproofPolicy, err error) {
	t.Helper()
	got, why := authz.Allowed, ""
	if err != nil {
		got = authz.ReasonOf(err)
	}
	switch {
	case each.Result == "valid":
		why = p.why
		if got != p.want {
			t.Errorf("%q, want %q: %v", got, p.want, err)
		}
	case err == nil:
		t.Error("accepted")
	}
	c[[3]string{each.Result, string(got), why}]++
}

func (c signatureTally) report(t *testing.T) {
	t.Helper()
	for _, verdict := range slices.SortedFunc(maps.Keys(c), func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }) {
		t.Logf("%4d %s: %s %s", c[verdict], verdict[0], verdict[1], verdict[2])
	}
	good := c[[3]string{"valid", string(authz.Allowed), ""}]
	if bad := c[[3]string{"invalid", string(authz.TokenSignature), ""}]; good == 0 || bad == 0 {
		t.Errorf("too few signatures were judged at all: %v", c)
	}
}

// A wycheproofPolicy says of which vectors we refuse what the suite calls valid, why, and how.
type wycheproofPolicy struct {
	why  string
	of   func(key, text string) bool
	want authz.Reason
}

var wycheproofPolicies = []wycheproofPolicy{
	{"HMAC: whoever can check a signature can make one", func(key, _ string) bool { return has(key, "kty", "oct") }, authz.TokenKeysUnavailable},
	{"the key is for ES521, which does not exist", func(key, _ string) bool { return has(key, "alg", "ES521") }, authz.TokenKeysUnavailable},
	{"an empty payload has no claims", func(_, text string) bool { return strings.Contains(text, "..") }, authz.TokenMalformed},
	{"the header says PS384, and the key is for PS256", func(key, text string) bool {
		return has(key, "alg", "PS256") && strings.HasPrefix(text, "eyJhbGciOiJQUzM4NC")
	}, authz.TokenKeyUnknown},
	{"RSA with exponent 3 (SP 800-56B, section 6.2)", func(key, _ string) bool { return has(key, "e", "Aw") }, authz.TokenKeysUnavailable},
}

func has(jwk, name, value string) bool {
	return strings.Contains(strings.ReplaceAll(jwk, " ", ""), `"`+name+`":"`+value+`"`)
}

// Signatures that the public vectors call invalid are never good, and those they call valid are
// refused for a stated policy alone.
func TestWycheproofJWS(t *testing.T) {
	counts := signatureTally{}
	for _, file := range []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"} {
		for i, g := range wycheproof(t, file) {
			v := g.verifier(t)
			for _, each := range g.Tests {
				if each.JWS == nil {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d/%s/%d/%s", file, i, g.Comment, each.ID, each.Comment), func(t *testing.T) {
					text, err := each.verify(t, v)
					counts.judge(t, each, policyFor(string(g.Public)+string(g.Private), text), err)
				})
			}
		}
	}
	counts.report(t)
}

func (c wycheproofCase) verify(t *testing.T, v *token.Verifier) (text string, err error) {
	t.Helper()
	if json.Unmarshal(c.JWS, &text) != nil {
		text = string(c.JWS) // in JSON serialization
	}
	if v == nil {
		return text, &authz.Error{Reason: authz.TokenKeysUnavailable}
	}
	return text, v.VerifyJWS(t.Context(), text)
}

func policyFor(key, text string) wycheproofPolicy {
	for _, p := range wycheproofPolicies {
		if p.of(key, text) {
			return p
		}
	}
	return wycheproofPolicy{want: authz.Allowed}
}

// rawFiles are vectors that are not about JWS, of the signatures that JWS has.
var rawFiles = map[string][]string{
	"ES256": {"ecdsa_secp256r1_sha256_p1363"},
	"ES384": {"ecdsa_secp384r1_sha384_p1363"},
	"ES512": {"ecdsa_secp521r1_sha512_p1363"},
	"EdDSA": {"ed25519"},
	"RS256": {"rsa_signature_2048_sha256", "rsa_signature_3072_sha256", "rsa_signature_4096_sha256", "rsa_signature_8192_sha256"},
	"RS384": {"rsa_signature_2048_sha384", "rsa_signature_3072_sha384", "rsa_signature_4096_sha384", "rsa_signature_8192_sha384"},
	"RS512": {"rsa_signature_2048_sha512", "rsa_signature_3072_sha512", "rsa_signature_4096_sha512", "rsa_signature_8192_sha512"},
	"PS256": {"rsa_pss_2048_sha256_mgf1_32", "rsa_pss_3072_sha256_mgf1_32", "rsa_pss_4096_sha256_mgf1_32"},
	"PS384": {"rsa_pss_2048_sha384_mgf1_48", "rsa_pss_4096_sha384_mgf1_48"},
	"PS512": {"rsa_pss_4096_sha512_mgf1_64"},
}

// The same holds for the signatures alone, of every algorithm that we verify.
func TestWycheproofSignatures(t *testing.T) {
	for alg, files := range rawFiles {
		t.Run(alg, func(t *testing.T) {
			counts := signatureTally{}
			for _, file := range files {
				for _, g := range wycheproof(t, file+"_test.json") {
					g.judgeRaw(t, alg, file, counts)
				}
			}
			counts.report(t)
		})
	}
}

func (g wycheproofGroup) judgeRaw(t *testing.T, alg, file string, counts signatureTally) {
	t.Helper()
	key := g.jwk(alg)
	v, header := wycheproofVerifier(t, key), base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`"}`))
	for _, each := range g.Tests {
		t.Run(fmt.Sprintf("%s/%d/%s", file, each.ID, each.Comment), func(t *testing.T) {
			var err error = &authz.Error{Reason: authz.TokenKeysUnavailable}
			if v != nil {
				signature := base64.RawURLEncoding.EncodeToString(decodeHex(t, each.Sig))
				err = v.VerifySigned(t.Context(), header, string(decodeHex(t, each.Msg)), signature)
			}
			counts.judge(t, each, policyFor(key, ""), err)
		})
	}
}

// jwk is the key of a group that is not about JWS. Some curve points have no JWK there.
func (g wycheproofGroup) jwk(alg string) string {
	if key := string(g.PublicKeyJWK) + string(g.KeyJWK); key != "" {
		return key
	}
	point, err := hex.DecodeString(g.PublicKey.Uncompressed)
	if err != nil || len(point) == 0 {
		return ""
	}
	x, y := point[1:len(point)/2+1], point[len(point)/2+1:]
	curve := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]
	return fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q}`, curve, base64.RawURLEncoding.EncodeToString(x), base64.RawURLEncoding.EncodeToString(y))
}

func decodeHex(t *testing.T, text string) []byte {
	t.Helper()
	decoded, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}
