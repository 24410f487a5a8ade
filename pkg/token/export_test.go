package token

import (
	"slices"

	"github.com/sallyport/sallyport/pkg/authz"
)

// CheckSignature takes a JWS as far as Verify does before it looks at claims: public vectors sign
// payloads that are none.
func CheckSignature(jwks, text string) error {
	set, _, err := parseKeySet([]byte(jwks))
	if err != nil {
		return refusal(authz.TokenKeysUnavailable, "%w", err)
	}
	header, payload, signature, err := split(text)
	if err != nil {
		return err
	}
	t := jws{signed: header + "." + payload}
	if t.header, err = decodeSegment("header", header); err != nil {
		return err
	}
	if err := t.readHeader(); err != nil {
		return err
	}
	if _, err := decodeBase64(payload); err != nil {
		return malformed("payload: %w", err)
	}
	if t.signature, err = decodeBase64(signature); err != nil {
		return malformed("signature: %w", err)
	}
	k := set.find(t.kid)
	if k == nil || !slices.Contains(k.algorithms, t.algorithm) {
		return refusal(authz.TokenKeyUnknown, "no key of that id, or not for this alg")
	}
	if !algorithms[t.algorithm].verify(k.public, t.signed, t.signature) {
		return refusal(authz.TokenSignature, "the signature is not the key's")
	}
	return nil
}
