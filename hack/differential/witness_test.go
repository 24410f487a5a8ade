package differential_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/pkg/token"
)

// leeway is the default of pkg/token.
const leeway = 30 * time.Second

// asymmetric are all algorithms that pkg/token verifies. It also takes "Ed25519", RFC 9864's name
// for EdDSA with that curve, which neither witness knows: as a key's alg it is made EdDSA for them,
// and a token whose header has it they cannot judge.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// A witness verifies a token by another library, set up as strictly as it can be, and gives the
// claims as that library reads them.
type witness struct {
	name   string
	verify func(r believed, text string) (map[string]any, error)
}

// witnesses are asked about everything that pkg/token is asked about.
var witnesses = []witness{{"go-jose", goJOSE}, {"golang-jwt", golangJWT}}

// believed is a rule of pkg/token as a witness understands it.
type believed struct {
	issuer     string // "" for a trust domain, whose tokens need no iss
	audiences  []string
	algorithms []string
	keys       []jose.JSONWebKey
	now        time.Time
}

func believe(t testing.TB, r token.Rule, now time.Time) believed {
	t.Helper()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(r.JWKS), &set); err != nil {
		t.Fatal(err)
	}
	b := believed{issuer: r.Issuer, audiences: r.Audiences, algorithms: r.Algorithms, now: now}
	if len(b.algorithms) == 0 {
		b.algorithms = asymmetric
	}
	use := "sig"
	if r.TrustDomain != "" { // SPIFFE Trust Domain and Bundle, section 4.2.2
		use = "jwt-svid"
	}
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(text, &key); err != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != use {
			continue
		}
		if key.Algorithm == "Ed25519" {
			key.Algorithm = "EdDSA"
		}
		b.keys = append(b.keys, key)
	}
	return b
}

var errNoKey = errors.New("no key, or more than one")

// key is the one key that a kid names, or the only one there is where one of the two has no kid.
func (b believed) key(kid, alg string) (any, error) {
	var found []jose.JSONWebKey
	for _, k := range b.keys {
		if k.KeyID == kid || len(b.keys) == 1 && (kid == "" || k.KeyID == "") {
			found = append(found, k)
		}
	}
	if len(found) != 1 || found[0].Algorithm != "" && found[0].Algorithm != alg {
		return nil, errNoKey
	}
	return found[0].Key, nil
}

func goJOSE(b believed, text string) (map[string]any, error) {
	algorithms := make([]jose.SignatureAlgorithm, 0, len(b.algorithms))
	for _, alg := range b.algorithms {
		algorithms = append(algorithms, jose.SignatureAlgorithm(alg))
	}
	parsed, err := josejwt.ParseSigned(text, algorithms)
	if err != nil {
		return nil, err
	}
	key, err := b.key(parsed.Headers[0].KeyID, parsed.Headers[0].Algorithm)
	if err != nil {
		return nil, err
	}
	var registered josejwt.Claims
	var claims map[string]any
	if err := parsed.Claims(key, &registered, &claims); err != nil {
		return nil, err
	}
	if registered.Expiry == nil || b.issuer != "" && registered.Issuer == "" {
		return nil, errors.New("no exp, or no iss")
	}
	return claims, registered.ValidateWithLeeway(josejwt.Expected{
		Issuer: b.issuer, AnyAudience: b.audiences, Time: b.now,
	}, leeway)
}

func golangJWT(b believed, text string) (map[string]any, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods(b.algorithms), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
		jwt.WithIssuer(b.issuer), jwt.WithAudience(b.audiences...),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway), jwt.WithTimeFunc(func() time.Time { return b.now }),
	)
	claims := jwt.MapClaims{}
	_, err := parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		kid, ok := t.Header["kid"].(string)
		if _, present := t.Header["kid"]; present && !ok {
			return nil, errNoKey
		}
		return b.key(kid, t.Method.Alg())
	})
	return claims, err
}

// floats makes of every number a float64, which is all that go-jose's map holds.
func floats(value any) any {
	switch v := value.(type) {
	case json.Number:
		number, err := v.Float64()
		if err != nil {
			return err
		}
		return number
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, member := range v {
			object[name] = floats(member)
		}
		return object
	case []any:
		array := slices.Clone(v)
		for i := range array {
			array[i] = floats(array[i])
		}
		return array
	}
	return value
}
