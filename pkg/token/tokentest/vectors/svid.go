package main

import (
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// trustDomain is that of the suite's workloads; its rule reads the same header as that of the users.
const trustDomain = "mesh.example"

const workloadID = "spiffe://" + trustDomain + "/ns/shop/sa/cart"

// bundle is the trust domain's: keys of JWT-SVIDs, and others that stand beside them.
func (f *forge) bundle() string {
	var members []any
	add := func(id string, changes map[string]any) {
		members = append(members, tokentest.Change(f.keysByID[id].JWK(), changes))
	}
	for _, id := range []string{"svid-es256", "svid-rs256", "svid-ps384", "svid-eddsa"} {
		add(id, map[string]any{"use": "jwt-svid", "alg": nil})
	}
	add("svid-x509", map[string]any{"use": "x509-svid", "alg": nil})
	add("svid-signature", nil)
	add("svid-no-use", map[string]any{"use": nil})
	return f.json(map[string]any{"keys": members, "spiffe_sequence": 7, "spiffe_refresh_hint": 300})
}

// svid signs the claims of a good JWT-SVID, changed. It has no iss.
func (f *forge) svid(id string, header, claims map[string]any) string {
	text, err := f.keysByID[id].Sign(header, tokentest.Change(claimsOf(map[string]any{"iss": nil, "sub": workloadID}), claims))
	f.fail(err)
	return text
}

// svids is about the JWT-SVIDs of SPIFFE.
func (f *forge) svids() map[string][]vector {
	return map[string][]vector{"40-svid": append(f.svidHeaders(), f.svidClaims()...)}
}

func goodSVID(name, text string) vector {
	return headers(name, map[string][]string{"authorization": {"Bearer " + text}}, authz.Allowed, "svid")
}

func (f *forge) svidHeaders() []vector {
	header := func(name string, changes map[string]any, want authz.Reason) vector {
		return bearer(name, f.svid("svid-es256", changes, nil), want)
	}
	return []vector{
		goodSVID("ES256", f.svid("svid-es256", nil, nil)), goodSVID("RS256", f.svid("svid-rs256", nil, nil)), goodSVID("PS384", f.svid("svid-ps384", nil, nil)),
		goodSVID("typ JOSE", f.svid("svid-es256", map[string]any{"typ": "JOSE"}, nil)), goodSVID("without typ", f.svid("svid-es256", map[string]any{"typ": nil}, nil)),
		goodSVID("with an iss that no rule knows", f.svid("svid-es256", nil, map[string]any{"iss": "https://spire.example"})),
		bearer("EdDSA", f.svid("svid-eddsa", nil, nil), authz.TokenUnsupported),
		header("typ at+jwt", map[string]any{"typ": "at+jwt"}, authz.TokenUnsupported),
		header("another header parameter", map[string]any{"x5t": "x"}, authz.TokenUnsupported),
		header("without kid", map[string]any{"kid": nil}, authz.TokenKeyUnknown),
		header("a kid of no key", map[string]any{"kid": "other"}, authz.TokenKeyUnknown),
		bearer("a key for X.509-SVIDs", f.svid("svid-x509", nil, nil), authz.TokenKeyUnknown),
		bearer("a key for signatures", f.svid("svid-signature", nil, nil), authz.TokenKeyUnknown),
		bearer("a key without use", f.svid("svid-no-use", nil, nil), authz.TokenKeyUnknown),
		bearer("another key's signature", f.svid("svid-rs256", map[string]any{"alg": "PS384", "kid": "svid-ps384"}, nil), authz.TokenSignature),
	}
}

func (f *forge) svidClaims() []vector {
	claims := func(name string, changes map[string]any, want authz.Reason) vector {
		return bearer(name, f.svid("svid-es256", nil, changes), want)
	}
	subject := func(sub any) vector {
		name, _ := sub.(string)
		return claims("sub "+name[:min(len(name), 60)], map[string]any{"sub": sub}, authz.TokenIssuerUnknown)
	}
	return []vector{
		claims("another issuer's rule", map[string]any{"iss": usersIssuer}, authz.TokenKeyUnknown),
		bearer("a user's token of a workload's name", f.good(map[string]any{"iss": nil, "sub": workloadID}), authz.TokenKeyUnknown),
		claims("without sub", map[string]any{"sub": nil}, authz.TokenIssuerUnknown),
		subject("alice"), subject("spiffe://other.example/ns/shop/sa/cart"), subject("spiffe://" + trustDomain), subject("spiffe://" + trustDomain + "/"),
		subject("spiffe://" + trustDomain + "/a//b"), subject("spiffe://" + trustDomain + "/a/../b"), subject("spiffe://" + trustDomain + "/a/."),
		subject("spiffe://" + trustDomain + "/a/"), subject("spiffe://" + trustDomain + "/a%20b"), subject("spiffe://" + trustDomain + "/a?b"),
		subject("spiffe://" + trustDomain + "/a#b"), subject("spiffe://" + trustDomain + ":443/a"), subject("spiffe://x@" + trustDomain + "/a"),
		subject("SPIFFE://" + trustDomain + "/a"), subject("spiffe://Mesh.example/a"), subject("spiffe:/" + trustDomain + "/a"),
		subject("https://" + trustDomain + "/a"), subject("spiffe://" + trustDomain + ".evil/a"), subject("spiffe://" + trustDomain + "/" + strings.Repeat("a", 2048)),
		claims("without exp", map[string]any{"exp": nil}, authz.TokenClaims), claims("without aud", map[string]any{"aud": nil}, authz.TokenClaims),
		claims("another aud", map[string]any{"aud": "payments"}, authz.TokenAudience),
		claims("expired", map[string]any{"iat": now - 7000, "exp": now - 3600}, authz.TokenExpired),
		claims("without iat, where maxLifetime is set", map[string]any{"iat": nil}, authz.TokenClaims),
		goodSVID("as long as maxLifetime", f.svid("svid-es256", nil, map[string]any{"iat": now, "exp": now + 7200})),
		claims("a second longer than maxLifetime", map[string]any{"iat": now, "exp": now + 7201}, authz.TokenClaims),
	}
}
