package token

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A place is where a token may stand on a request. Several rules may read one place; the issuer
// that the token names decides which of them it is for.
type place struct {
	number int // in the order of the configuration
	kind   kind
	name   string // of the header (lower-case), cookie or parameter
	prefix string // of a header
	rules  []*rule
}

type kind string

const (
	inHeader    kind = "header"
	inCookie    kind = "cookie"
	inParameter kind = "parameter"
)

// find reads the place on a request. An absent token is no error; what looks like one and is not
// exactly one is.
func (p *place) find(http *authz.HTTP) (text string, found bool, err error) {
	switch p.kind {
	case inCookie:
		return p.findCookie(http.Headers)
	case inParameter:
		return one(http.Path.Query[p.name])
	}
	return p.findHeader(http.Headers)
}

// one takes the only value of a place.
func one(values []string) (text string, found bool, err error) {
	switch len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	}
	return "", false, multiple("a place with more than one value")
}

func multiple(format string, args ...any) error {
	return refusal(authz.TokenMultiple, format, args...)
}

// findHeader reads a header. Envoy joins the values of a header that came twice with a comma,
// which no token has in it, so a comma is refused like a second value.
func (p *place) findHeader(headers authz.Headers) (text string, found bool, err error) {
	value, found, err := one(headers[p.name])
	if err != nil || !found {
		return "", false, err
	}
	if strings.Contains(value, ",") {
		return "", false, multiple("a header with more than one value")
	}
	scheme, isScheme := p.scheme()
	if !isScheme {
		text, found = strings.CutPrefix(value, p.prefix)
		return text, found, nil
	}
	if !hasFoldPrefix(strings.TrimLeft(value, " \t"), scheme) {
		if slices.ContainsFunc(strings.Fields(value), func(f string) bool { return strings.EqualFold(f, scheme) }) {
			return "", false, malformed("the scheme stands amid the header")
		}
		return "", false, nil
	}
	if !hasFoldPrefix(value, p.prefix) {
		return "", false, malformed("the scheme is not followed by one space and a token")
	}
	return value[len(p.prefix):], true, nil
}

// scheme is the prefix without its space where it is an authentication scheme.
func (p *place) scheme() (name string, ok bool) {
	name, found := strings.CutSuffix(p.prefix, " ")
	return name, found && isHeaderName(name)
}

func hasFoldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// findCookie reads a cookie (RFC 6265, section 4.2). A pair behind a comma is refused, not passed
// over: a joined header would hide the cookie from us and show it to the upstream.
func (p *place) findCookie(headers authz.Headers) (text string, found bool, err error) {
	var values []string
	for _, pair := range cookies(headers) {
		for i, part := range strings.Split(pair, ",") {
			name, value, _ := strings.Cut(part, "=")
			switch {
			case strings.TrimSpace(name) != p.name:
			case i > 0:
				return "", false, multiple("a cookie header joined with a comma")
			default:
				values = append(values, value)
			}
		}
	}
	return one(values)
}

// cookies are the pairs of all cookie headers: HTTP/2 lets a client cut the header into pieces
// (RFC 9113, section 8.2.3).
func cookies(headers authz.Headers) []string {
	var pairs []string
	for _, value := range headers["cookie"] {
		for pair := range strings.SplitSeq(value, ";") {
			if pair = strings.TrimSpace(pair); pair != "" {
				pairs = append(pairs, pair)
			}
		}
	}
	return pairs
}

// ruleFor picks the rule for a token by the issuer it claims to be from, or else by the trust domain
// that its sub is of. The rule then uses that issuer's keys alone, so a token gains nothing by
// naming another.
func (p *place) ruleFor(t *jws) *rule {
	for _, r := range p.rules {
		if r.trustDomain == "" && r.issuer == t.issuer {
			return r
		}
	}
	sub, _ := t.claims["sub"].(string)
	domain := trustDomainOf(sub)
	for _, r := range p.rules {
		if r.trustDomain != "" && r.trustDomain == domain {
			return r
		}
	}
	return nil
}

// checkPlaces gathers the places that rules read and refuses those that two rules would read
// differently.
func checkPlaces(rules []*rule, sources []Rule, m []mistakes) []*place {
	var places []*place
	for i, r := range rules {
		for _, wanted := range placesOf(sources[i], m[i]) {
			places = shared(places, wanted, r, m[i])
		}
	}
	return places
}

// shared adds a rule to the place it reads, or the place to the list.
func shared(places []*place, wanted *place, r *rule, m mistakes) []*place {
	for _, p := range places {
		if p.kind != wanted.kind || p.name != wanted.name {
			continue
		}
		if p.prefix != wanted.prefix {
			if hasFoldPrefix(p.prefix, wanted.prefix) || hasFoldPrefix(wanted.prefix, p.prefix) {
				m.add("fromHeaders", "%q is read with two prefixes, and one begins like the other", p.name)
			}
			continue
		}
		for _, other := range p.rules {
			if other.issuer == r.issuer && other.trustDomain == r.trustDomain {
				m.add("issuer", "rule %q reads the same %s %q for the same issuer", other.name, p.kind, p.name)
			}
		}
		p.rules = append(p.rules, r)
		return places
	}
	wanted.rules, wanted.number = []*rule{r}, len(places)
	return append(places, wanted)
}

func placesOf(r Rule, m mistakes) []*place {
	var places []*place
	if len(r.FromHeaders)+len(r.FromCookies)+len(r.FromParams) == 0 {
		r.FromHeaders = []HeaderSource{{Name: "Authorization", Prefix: "Bearer "}}
	}
	for _, s := range r.FromHeaders {
		name := strings.ToLower(s.Name)
		if !isHeaderName(name) || name == "cookie" {
			m.add("fromHeaders", "%q is not the name of a header that can hold a token", s.Name)
		}
		prefix := s.Prefix
		if scheme, found := strings.CutSuffix(prefix, " "); found && isHeaderName(scheme) {
			prefix = strings.ToLower(prefix)
		}
		places = append(places, &place{kind: inHeader, name: name, prefix: prefix})
	}
	for _, name := range r.FromCookies {
		if !isHeaderName(name) {
			m.add("fromCookies", "%q is not the name of a cookie", name)
		}
		places = append(places, &place{kind: inCookie, name: name})
	}
	for _, name := range r.FromParams {
		if name == "" {
			m.add("fromParams", "an empty name")
		}
		places = append(places, &place{kind: inParameter, name: name})
	}
	return places
}
