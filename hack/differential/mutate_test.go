package differential_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// A subject is a good token before it is written down, and the keys at hand to make it a bad one.
type subject struct {
	*rand.Rand
	key, other     *tokentest.Key
	header, claims map[string]any
}

func newSubject(rng *rand.Rand, r keyed) *subject {
	s := &subject{Rand: rng, key: r.key, other: r.others[rng.IntN(len(r.others))]}
	s.header = map[string]any{"alg": r.key.Algorithm, "kid": r.key.ID, "typ": "JWT"}
	s.claims = map[string]any{
		"iss": r.Issuer, "aud": "orders", "exp": standing + 60, "iat": standing - 60, "nbf": standing - 60,
		"sub": "alice", "jti": "1", "roles": []any{"a", "b"}, "org": map[string]any{"id": 7},
	}
	return s
}

// sign writes the token down as it stands.
func (s *subject) sign() string { return s.signText(object(s.header), object(s.claims)) }

// signText signs a header and payload that need not be JSON.
func (s *subject) signText(header, payload string) string {
	return s.signSegments(encode(header), encode(payload))
}

// signSegments signs two segments that need not be base64url.
func (s *subject) signSegments(header, payload string) string {
	signed := header + "." + payload
	return signed + "." + encode(string(s.signature(s.key, signed)))
}

func (s *subject) signature(key *tokentest.Key, signed string) []byte {
	signature, err := key.Signature(signed)
	if err != nil {
		return nil
	}
	return signature
}

// pick is one of some values.
func pick[T any](s *subject, values ...T) T { return values[s.IntN(len(values))] }

// object writes members in the order of their names; raw values stand as they are.
func object(members map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		parts = append(parts, member(name, members[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// raw is a JSON text, or what claims to be one.
type raw string

func member(name string, value any) string { return text(name) + ":" + text(value) }

func text(value any) string {
	if r, ok := value.(raw); ok {
		return string(r)
	}
	written, err := json.Marshal(value)
	if err != nil {
		return "null"
	}
	return string(written)
}

// oddValues are values that a member may wrongly have. Rightly, some of them.
var oddValues = []raw{
	`null`, `""`, `" "`, `"x"`, `0`, `-0`, `1`, `-1`, `0.5`, `1e3`, `1e400`, `-1e-400`, `1E+9`, `true`, `false`, `[]`, `{}`, `[null]`, `[""]`, `[1]`,
	`1900000060`, `1900000060.75`, `1.90000006e9`, `19000000600e-1`, `1900000029`, `1900000030`, `1900000031`, `1899999969`, `1899999970`, `1899999971`, `"1900000060"`,
	`253402300799`, `253402300800`, `9223372036854775807`, `9223372036854775808`, `18446744073709551616`, `01`, `+1`, `.5`, `1.`, `0x10`, `NaN`, `Infinity`,
	`"orders"`, `["orders"]`, `["x","orders"]`, `["orders","orders"]`, `["orders",null]`, `["orders",1]`, `[["orders"]]`, `{"orders":1}`, `"Orders"`, `"orders "`, `"orders\u0000"`, `"\u006frders"`,
	`"https://issuer.example"`, `"https:\/\/issuer.example"`, `"https://issuer.example/"`, `"HTTPS://issuer.example"`, `["https://issuer.example"]`,
	`"JWT"`, `"jwt"`, `"at+jwt"`, `"application/jwt"`, `"application/at+jwt"`, `"dpop+jwt"`, `"JOSE"`,
	`"\ud800"`, `"\udc00\ud800"`, `"\ud83d\ude00"`, `"\u00e9"`, "\"\xff\"", "\"\x00\"", "\"\t\"", `"\x"`, `"`, `{"a":1,"a":2}`, `{"a":{"b":[1,{"c":2}]}}`, `[1,]`, `{"a":1,}`, `'x'`,
}

// registeredMembers are those that somebody reads in a header or in claims.
var (
	headerMembers = []string{"alg", "kid", "typ", "cty", "crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "nonce", "url", "epk", "iv", "tag", "p2c", "x"}
	claimMembers  = []string{"iss", "aud", "exp", "nbf", "iat", "sub", "jti", "client_id", "cnf", "nonce", "events", "scope", "roles", "org", "x"}
)

// anyCase writes a name in another case, or with an escape.
func anyCase(s *subject, name string) string {
	switch s.IntN(4) {
	case 0:
		return `"` + strings.ToUpper(name) + `"`
	case 1:
		return `"` + strings.ToUpper(name[:1]) + name[1:] + `"`
	case 2:
		return `"\u00` + hex(name[0]) + name[1:] + `"`
	}
	return `"` + strings.Replace(name, "s", "ſ", 1) + `"` // folds to an s
}

func hex(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}
