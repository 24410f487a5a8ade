package token

import (
	"errors"

	"github.com/sallyport/sallyport/pkg/authz"
)

// profileClaims are those that RFC 9068, section 2.2, demands of a token of type at+jwt.
var profileClaims = []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}

// checkProfile holds a token that says at+jwt to RFC 9068, section 2.2. The claims that it demands
// must be there; those that it defines for authentication (2.2.1) and authorization (2.2.3) must be
// well-typed where they are. Types, signature, issuer, audience and time (section 4) are checked
// for every token.
func checkProfile(claims map[string]any) error {
	for _, name := range profileClaims {
		if claims[name] == nil {
			return refusal(authz.TokenClaims, "%s is missing, which RFC 9068 demands of at+jwt", name)
		}
	}
	for name, check := range map[string]func(any) error{
		"auth_time": isDate, "acr": isText, "amr": isTexts, "scope": isText,
	} {
		if value, present := claims[name]; present {
			if err := check(value); err != nil {
				return refusal(authz.TokenClaims, "%s: %w, as RFC 9068 demands of at+jwt", name, err)
			}
		}
	}
	return nil
}

func isDate(value any) error {
	_, err := readDate(value)
	return err
}

func isText(value any) error {
	if text, ok := value.(string); !ok || text == "" {
		return errors.New("not a string, or empty")
	}
	return nil
}

func isTexts(value any) error {
	list, ok := value.([]any)
	if !ok {
		return errors.New("not an array")
	}
	for _, element := range list {
		if err := isText(element); err != nil {
			return err
		}
	}
	return nil
}
