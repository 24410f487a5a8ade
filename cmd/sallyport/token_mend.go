package main

import (
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
)

// mend says what an operator can do about a refusal; "" where there is nothing to say.
func mend(check token.Check, reason authz.Reason) string {
	switch reason {
	case authz.TokenUnsupported:
		return mendUnsupported(check)
	case authz.TokenClaims:
		if check == token.CheckHeaders {
			return "Name another claim in outputClaimToHeaders, or let the issuer send this one without control bytes and commas."
		}
		return "Let the issuer send iss, aud and exp, and every registered claim in the type of RFC 7519, section 4.1."
	}
	return map[authz.Reason]string{
		authz.TokenMultiple:        "Send the token once, in one place, without a comma in the header.",
		authz.TokenMalformed:       "Get the token anew and copy it whole: three segments between dots, without quotes, spaces or line breaks.",
		authz.TokenIssuerUnknown:   "Write iss as the rule's issuer, byte by byte (a slash at the end counts), or add a rule for this issuer.",
		authz.TokenKeyUnknown:      "Get a new token: the key was withdrawn, or the token is from another issuer or environment. With jwks or jwksFile, put the issuer's current JWK set there.",
		authz.TokenKeysUnavailable: "See that this machine reaches the issuer (name, firewall, certificate), or give the keys in jwksFile.",
		authz.TokenSignature:       "Get the token anew: it was changed after it was signed, or the issuer has another key of this id. With jwks or jwksFile, compare with the issuer's JWK set.",
		authz.TokenExpired:         "Get a new token. If this one is new, a clock is wrong: set it, or raise jwt.leeway (5m at most).",
		authz.TokenNotYetValid:     "Set the clocks of the issuer and of this machine; jwt.leeway allows a difference (5m at most).",
		authz.TokenAudience:        "Ask the issuer for a token for one of the rule's audiences. Add the token's aud to them only if it names this service.",
	}[reason]
}

func mendUnsupported(check token.Check) string {
	switch check {
	case token.CheckType:
		return "Ask the issuer for an access token. If this is one, add its typ to the rule's types."
	case token.CheckAlgorithm:
		return "Let the issuer sign with an alg that the rule takes, or add this one to the rule's algorithms."
	case token.CheckKind:
		return "Ask the issuer for an access token for this service, neither an ID token nor one that is bound to a key."
	}
	return "Let the issuer sign with RS, PS, ES or EdDSA, without crit, zip, jwk, jku, x5c or encryption."
}
