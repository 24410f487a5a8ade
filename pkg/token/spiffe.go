package token

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Uses of keys: what RFC 7517, section 4.2, calls signatures, and what a SPIFFE bundle calls the keys of
// JWT-SVIDs (SPIFFE Trust Domain and Bundle, section 4.2.2).
const (
	useSignature = "sig"
	useSVID      = "jwt-svid"
)

var (
	// svidAlgorithms are those of JWT-SVID, section 2.1: EdDSA is not among them.
	svidAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
	// svidTypes are those of JWT-SVID, section 2.3.
	svidTypes = []string{"jwt", "jose", ""}
	// svidParameters are the header parameters of JWT-SVID, section 2; it forbids all others.
	svidParameters = []string{"alg", "kid", "typ"}
)

// Limits of SPIFFE-ID, sections 2.1 and 2.3.
const (
	maxTrustDomainBytes = 255
	maxSPIFFEIDBytes    = 2048
)

// checkSVID holds a token's header to what a JWT-SVID may have. It must name its key, because a
// bundle has many.
func checkSVID(t *jws) error {
	for name := range t.header {
		if !slices.Contains(svidParameters, name) {
			return unsupported("the header has more than a JWT-SVID may: alg, kid and typ")
		}
	}
	if t.kid == "" {
		return refusal(authz.TokenKeyUnknown, "a JWT-SVID names its key, and this token does not")
	}
	return nil
}

// trustDomainOf is the trust domain of a workload's SPIFFE ID (SPIFFE-ID, section 2), or "" for
// anything else. An ID without a path is a trust domain's own and no workload's.
func trustDomainOf(id string) string {
	rest, found := strings.CutPrefix(id, "spiffe://")
	if !found || len(id) > maxSPIFFEIDBytes {
		return ""
	}
	domain, path, found := strings.Cut(rest, "/")
	if !found || !isTrustDomain(domain) {
		return ""
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, notInPath) {
			return ""
		}
	}
	return domain
}

func isTrustDomain(name string) bool {
	return name != "" && len(name) <= maxTrustDomainBytes &&
		!strings.ContainsFunc(name, func(r rune) bool { return notInPath(r) || 'A' <= r && r <= 'Z' })
}

func notInPath(r rune) bool {
	return r != '.' && (r > 0x7e || !isBase64URL(byte(r&0x7f)))
}
