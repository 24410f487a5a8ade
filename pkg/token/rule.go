package token

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A rule is a Rule that has been checked, with what verification needs at hand.
type rule struct {
	name        string
	issuer      string // of a trust domain: its SPIFFE ID
	trustDomain string // "" where the rule is for an issuer
	required    bool
	audiences   []string
	algorithms  []string // canonical; empty: all
	types       []string // canonical
	maxLifetime time.Duration
	keys        *keyRing
	forward     bool
	outputs     []ClaimHeader // with lower-case header names

	payloadHeader string         // lower-case; "" for none
	silence       authz.Mutation // what becomes of the headers without a token
	spaced        []string       // claims that policy sees as lists of words
}

// headers are those that the rule sets, each with the name of its setting.
func (r *rule) headers() iter.Seq2[string, string] {
	return func(yield func(field, header string) bool) {
		for _, o := range r.outputs {
			if !yield("outputClaimToHeaders", o.Header) {
				return
			}
		}
		if r.payloadHeader != "" {
			yield("outputPayloadToHeader", r.payloadHeader)
		}
	}
}

var (
	defaultTypes = []string{"jwt", "at+jwt", ""}
	// notAccessTokens are the types of signed tokens that say something else than "may access":
	// RFC 9449 section 4.2, OpenID Connect Back-Channel Logout section 2.4, RFC 8417 section 2.3.
	notAccessTokens = []string{"dpop+jwt", "logout+jwt", "secevent+jwt"}
	// unsettable are headers that steer the connection, the routing or Envoy itself.
	unsettable = []string{"host", "connection", "content-length", "cookie", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)

// checkHeader refuses what the rule does not take, whoever signed it.
func (r *rule) checkHeader(s *sighting) error {
	t := s.token
	s.trace.begin(CheckType, s)
	if !slices.Contains(r.types, t.typ) {
		return unsupported("the rule does not take tokens of this typ")
	}
	s.trace.next(CheckAlgorithm)
	if len(r.algorithms) > 0 && !slices.Contains(r.algorithms, t.algorithm) {
		return unsupported("the rule does not allow this alg")
	}
	if r.trustDomain != "" {
		s.trace.next(CheckSVID)
		return checkSVID(t)
	}
	return nil
}

// A Mistake is one mistake in a [Config]. [New] joins all of them.
type Mistake struct {
	Path string // of the setting, such as rules[0].jwks
	Err  error

	text string
}

func (m *Mistake) Error() string { return m.text }
func (m *Mistake) Unwrap() error { return m.Err }

// mistakes collects those of one rule, or of no rule.
type mistakes struct {
	path  string // before the name of a setting
	where string // the same, for the text
	all   *[]error
}

func (m mistakes) add(field, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	*m.all = append(*m.all, &Mistake{Path: m.path + field, Err: err, text: fmt.Sprintf("%s%s: %v", m.where, field, err)})
}

// checkRule checks what one rule says by itself; places, outputs and keys are checked with the other rules.
func checkRule(r Rule, m mistakes) *rule {
	if r.Name == "" {
		m.add("name", "is missing")
	}
	if r.Issuer == "" && r.TrustDomain == "" {
		m.add("issuer", "is missing")
	}
	if r.MaxLifetime < 0 {
		m.add("maxLifetime", "is negative")
	}
	if len(r.Audiences) == 0 || slices.Contains(r.Audiences, "") {
		m.add("audiences", "is missing or has an empty one: without it a token for any other service would be taken")
	}
	checked := &rule{
		name: r.Name, issuer: r.Issuer, audiences: slices.Clone(r.Audiences), required: r.Required,
		maxLifetime: r.MaxLifetime, forward: r.ForwardOriginalToken, outputs: checkOutputs(r.OutputClaimToHeaders, m),
	}
	for _, alg := range r.Algorithms {
		name, known := canonicalAlgorithm(alg)
		if !known {
			m.add("algorithms", "%q is none of RS, PS, ES 256 to 512 and EdDSA", alg)
		}
		checked.algorithms = append(checked.algorithms, name)
	}
	checked.types = checkTypes(r.Types, m)
	if r.OutputPayloadToHeader != "" {
		checked.payloadHeader = checkOutput("outputPayloadToHeader", r.OutputPayloadToHeader, m)
	}
	if checked.spaced = slices.Clone(r.SpaceDelimitedClaims); slices.Contains(checked.spaced, "") {
		m.add("spaceDelimitedClaims", "an empty name")
	}
	if r.Timeout != 0 && (r.Timeout < minTimeout || r.Timeout > maxTimeout) {
		m.add("timeout", "not between %s and %s", minTimeout, maxTimeout)
	}
	if r.TrustDomain != "" {
		checked.checkTrustDomain(r, m)
	}
	checkKeySource(r, m)
	_ = checked.tell(nil, &checked.silence) // without a token nothing can be unwritable
	return checked
}

// checkTrustDomain makes a rule one for JWT-SVIDs, whose types and algorithms SPIFFE has chosen.
func (r *rule) checkTrustDomain(wanted Rule, m mistakes) {
	switch {
	case wanted.Issuer != "":
		m.add("trustDomain", "issuer is given too, and only one can be")
	case !isTrustDomain(wanted.TrustDomain):
		m.add("trustDomain", "%q is not the name of a SPIFFE trust domain, such as example.org", wanted.TrustDomain)
	case wanted.JWKS == "" && wanted.JWKSFile == "" && wanted.JWKSURI == "":
		m.add("trustDomain", "the domain's bundle is missing: jwks, jwksFile or jwksUri")
	}
	if len(wanted.Types) > 0 {
		m.add("types", "cannot be set with trustDomain: those of JWT-SVIDs are JWT, JOSE and none")
	}
	for _, alg := range r.algorithms {
		if !slices.Contains(svidAlgorithms, alg) {
			m.add("algorithms", "%q is none of JWT-SVIDs: RS, PS, ES 256 to 512", alg)
		}
	}
	r.trustDomain, r.issuer, r.types = wanted.TrustDomain, "spiffe://"+wanted.TrustDomain, svidTypes
	if len(r.algorithms) == 0 {
		r.algorithms = svidAlgorithms
	}
}

func checkTypes(types []string, m mistakes) []string {
	if len(types) == 0 {
		return defaultTypes
	}
	var checked []string
	for _, typ := range types {
		short := canonicalType(typ)
		if slices.Contains(notAccessTokens, short) {
			m.add("types", "%q is not the type of an access token", typ)
		}
		checked = append(checked, short)
	}
	return checked
}

func checkOutputs(outputs []ClaimHeader, m mistakes) []ClaimHeader {
	var checked []ClaimHeader
	for _, o := range outputs {
		if slices.Contains(strings.Split(o.Claim, "."), "") {
			m.add("outputClaimToHeaders", "the claim for %q is missing or has an empty name in its path", o.Header)
		}
		checked = append(checked, ClaimHeader{Header: checkOutput("outputClaimToHeaders", o.Header, m), Claim: o.Claim})
	}
	return checked
}

// checkOutput checks the name of a header that is set, and makes it lower-case.
func checkOutput(field, header string, m mistakes) string {
	name := strings.ToLower(header)
	switch {
	case !isHeaderName(name):
		m.add(field, "%q is not a header name", header)
	case slices.Contains(unsettable, name) || strings.HasPrefix(name, "x-envoy-"):
		m.add(field, "%q steers the proxy and cannot be set", header)
	}
	return name
}

// checkKeySource checks where the keys come from, without going there.
func checkKeySource(r Rule, m mistakes) {
	var given []string
	for _, s := range []struct{ field, value string }{{"jwks", r.JWKS}, {"jwksFile", r.JWKSFile}, {"jwksUri", r.JWKSURI}} {
		if s.value != "" {
			given = append(given, s.field)
		}
	}
	switch {
	case len(given) > 1:
		m.add(given[1], "%s is given too, and only one can be", given[0])
	case r.JWKSURI != "":
		if _, err := checkURL(r.JWKSURI, r.AllowInsecureHTTP); err != nil {
			m.add("jwksUri", "%w", err)
		}
	case len(given) == 0 && r.Issuer != "":
		u, err := checkURL(r.Issuer, r.AllowInsecureHTTP)
		if err == nil && (u.RawQuery != "" || u.ForceQuery) {
			err = errors.New("has a query")
		}
		if err != nil {
			m.add("issuer", "no jwks, jwksFile or jwksUri is given, and OpenID discovery is not possible here: %w", err)
		}
	}
}

// checkURL takes what the operator wrote: https, or http where the way is ours or the operator said so.
func checkURL(text string, allowInsecure bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Opaque != "":
		return nil, errors.New("not an http or https URL")
	case u.User != nil:
		return nil, errors.New("has a user or password")
	case u.Fragment != "":
		return nil, errors.New("has a fragment")
	case u.Scheme == "http" && !allowInsecure && !isLoopback(u.Hostname()):
		return nil, errors.New("plain http is only for loopback; allowInsecureHTTP allows it")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isHeaderName holds a name to the token of RFC 9110, section 5.6.2.
func isHeaderName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !isBase64URL(c) && strings.IndexByte("!#$%&'*+.^`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}
