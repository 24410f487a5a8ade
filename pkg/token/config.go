package token

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"
)

// A Config says which issuers are believed, and for what. Its zero value believes none.
type Config struct {
	Rules []Rule

	// Leeway is how far the clocks of issuers may differ from ours: 0 means 30 s, a negative
	// value none at all; more than 300 s is a mistake.
	Leeway time.Duration

	// CacheBytes bounds the memory of the verified-token cache: 0 means 32 MiB, a negative value
	// no cache.
	CacheBytes int

	Revocation Revocation // none unless set

	// MaxTokenBytes bounds a token's text: 0 means 8 KiB; more than 16 KiB is a mistake.
	MaxTokenBytes int

	// RootCAs are trusted for the issuers' certificates; nil means the system's.
	RootCAs *x509.CertPool

	// HTTPClient fetches discovery documents and JWK sets, for tests. nil means a client that asks
	// for TLS 1.2, uses no proxy, and does not dial link-local addresses that a discovery document
	// or a redirect led to. Redirects are ours to follow in any case.
	HTTPClient *http.Client

	Observer Observer

	Logger *slog.Logger     // nil: slog.Default
	Now    func() time.Time // nil: time.Now
}

// A Rule believes one issuer and fills one slot of the identity. The names are those of Istio's JWTRule.
type Rule struct {
	Name   string // of the slot
	Issuer string // compared with iss byte by byte

	// TrustDomain, in place of Issuer, takes the JWT-SVIDs of a SPIFFE trust domain, such as
	// example.org. Their sub is the SPIFFE ID of a workload of that domain, their iss is not looked
	// at, and their keys are those of the domain's bundle for jwt-svid, from JWKS, JWKSFile or
	// JWKSURI. Types must be empty then, and Algorithms without EdDSA.
	TrustDomain string

	// Required refuses a request without a token for this slot, before any policy is asked.
	Required bool

	// MaxLifetime is the longest time from iat to exp; iat must then be there. 0 means any.
	MaxLifetime time.Duration

	Audiences []string // required; one of them must be in aud

	// Algorithms narrows what the issuer's keys may be used for; empty means every asymmetric one.
	Algorithms []string

	// Types are the values of typ that are taken, "application/" and case aside; "" stands for a
	// token without typ. Empty means JWT, at+jwt and none. dpop+jwt, logout+jwt and secevent+jwt
	// are no access tokens and a mistake here.
	Types []string

	// Where the keys are: at most one of them. With none of them, OpenID discovery at the issuer.
	JWKS     string
	JWKSFile string // watched
	JWKSURI  string

	// AllowInsecureHTTP takes keys over plain HTTP from any host, not from loopback alone.
	// Whoever is on the way can then sign tokens.
	AllowInsecureHTTP bool

	// Timeout bounds one fetch of the keys, discovery included: 0 means 5 s; otherwise from 100 ms to
	// 30 s. A check never waits that long: see the package documentation.
	Timeout time.Duration

	// Where tokens are: empty all three means the Authorization header with "Bearer ". (Istio then
	// reads the parameter access_token too.)
	FromHeaders []HeaderSource
	FromCookies []string
	FromParams  []string // query parameters end up in logs: RFC 9700, section 4.3.2, advises against them

	ForwardOriginalToken bool
	OutputClaimToHeaders []ClaimHeader

	// OutputPayloadToHeader is a header that gets the payload, base64url without padding; "" is none.
	OutputPayloadToHeader string

	// SpaceDelimitedClaims are claims of the top level that policy sees as lists of words.
	SpaceDelimitedClaims []string
}

// A HeaderSource is a header that carries a token.
type HeaderSource struct {
	Name string
	// Prefix comes before the token. One that is an authentication scheme and a space, such as
	// "Bearer ", is compared without regard to case (RFC 9110, section 11.1), any other exactly.
	Prefix string
}

// A ClaimHeader copies a claim into a header for the upstream. Claim is a name, or a path of names
// in nested objects, joined with ".". Strings, numbers and booleans are written as they are, arrays
// of them joined with ",". For anything else, and where there is no claim, the header is removed.
type ClaimHeader struct {
	Header string
	Claim  string
}

const (
	defaultLeeway        = 30 * time.Second
	maxLeeway            = 300 * time.Second
	defaultCacheBytes    = 32 << 20
	defaultMaxTokenBytes = 8 << 10
	hardMaxTokenBytes    = 16 << 10
)
