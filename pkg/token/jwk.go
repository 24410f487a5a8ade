package token

import (
	"crypto"
	"encoding/json"
	"errors"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// publicMembers are the members of a JWK that make a public key (RFC 7518, section 6; RFC 8037).
var publicMembers = []string{"kty", "crv", "n", "e", "x", "y"}

// parsePublicKey makes a public key of a JWK. It is all that Sallyport takes from jwx, and this is
// the only file that imports it. jwx sees only the members that make a public key: what use,
// key_ops, alg and kid mean is decided in keyset.go.
func parsePublicKey(member map[string]any) (crypto.PublicKey, error) {
	public := make(map[string]any, len(publicMembers))
	for _, name := range publicMembers {
		if value, present := member[name]; present {
			public[name] = value
		}
	}
	if err := checkNumbers(public); err != nil {
		return nil, err
	}
	text, err := json.Marshal(public)
	if err != nil {
		return nil, errors.New("not JSON")
	}
	parsed, err := jwk.ParseKey(text)
	if err != nil {
		return nil, errors.New("not a key") // the library's error may quote the document
	}
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return nil, errors.New("not a key")
	}
	return raw, nil
}

// checkNumbers holds the numbers of a key to base64url, which jwx reads leniently, and the
// exponent to the four bytes that crypto/rsa takes: jwx cuts off what does not fit an int.
func checkNumbers(public map[string]any) error {
	for _, name := range []string{"n", "e", "x", "y"} {
		value, present := public[name]
		if !present {
			continue
		}
		text, _ := value.(string)
		number, err := decodeBase64(text)
		if err != nil || len(number) == 0 || name == "e" && len(number) > 4 {
			return errors.New("not a key: " + name)
		}
	}
	return nil
}
