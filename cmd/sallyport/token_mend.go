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
		switch check {
		case token.CheckHeaders:
			return "Name another claim in outputClaimToHeaders, or let the issuer send this one without control bytes and commas."
		case token.CheckLifetime:
			return "Let the issuer send iat and an exp that is nearer to it, or raise the rule's maxLifetime."
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
		authz.TokenRequired:        "Send a token where the rule looks, or take required from the rule.",
		authz.TokenBinding:         "Show the certificate that the token is bound to, with include_peer_certificate in Envoy's ext_authz filter. Other bindings than cnf.x5t#S256, such as DPoP, are not checked and so not taken.",
		authz.TokenRevoked:         "Get a new token, by a new login if a session or subject was revoked. If it was revoked by mistake, take its entry from the revocation list.",
		authz.TokenRevocationStale: "See why the revocation list is not updated any more: nobody knows what was revoked since.",
	}[reason]
}

func mendUnsupported(check token.Check) string {
	switch check {
	case token.CheckType:
		return "Ask the issuer for an access token. If this is one, add its typ to the rule's types."
	case token.CheckAlgorithm:
		return "Let the issuer sign with an alg that the rule takes, or add this one to the rule's algorithms."
	case token.CheckKind:
		return "Ask the issuer for an access token for this service, not an ID token or a security event."
	case token.CheckSVID:
		return "Get a JWT-SVID from the SPIFFE Workload API: its header has alg, kid and at most typ."
	}
	return "Let the issuer sign with RS, PS, ES or EdDSA, without crit, zip, jwk, jku, x5c or encryption."
}
