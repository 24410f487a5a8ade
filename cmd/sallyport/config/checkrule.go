package config

import (
	"net/url"
	"regexp"
	"strings"
	"time"
)

// maxLeeway: more would be a second life for tokens, not a difference between clocks.
const maxLeeway = 5 * time.Minute

// A fetch of keys needs a moment, and one that takes longer is a failed one.
const (
	minFetchTimeout = 100 * time.Millisecond
	maxFetchTimeout = 30 * time.Second
)

func (c *checker) jwt(j *JWT) {
	if j.Leeway < 0 || j.Leeway > maxLeeway {
		c.fault("jwt.leeway", "must be from 0s to 5m")
	}
	if c.has("jwt.realm") && !formats["realm"].is(j.Realm) {
		c.fault("jwt.realm", "must be printable ASCII")
	}
	if c.has("jwt.resourceMetadata") && !isResourceMetadata(j.ResourceMetadata) {
		c.fault("jwt.resourceMetadata", "must be an https URL; plain http needs a loopback host")
	}
	c.existingFile(&j.Revocation.File, "jwt.revocation.file")
	c.positive(j.Revocation.MaxAge, "jwt.revocation.maxAge")
	if c.has("jwt.revocation.data") && !formats["entrypoint"].is(j.Revocation.Data) {
		c.fault("jwt.revocation.data", "must be a path such as a/b for data.a.b")
	}
	if c.has("jwt.revocation.maxAge") && !c.has("jwt.revocation.file") && !c.has("jwt.revocation.data") {
		c.fault("jwt.revocation.maxAge", "needs file or data: there is no list that could grow old")
	}
	rules := ruleChecker{checker: c, names: map[string]string{}, places: map[string]string{}, headers: map[string]string{}}
	for i := range j.Rules {
		path := index("jwt.rules", i)
		if c.wrong[path] {
			continue
		}
		if len(j.Rules) > 1 && !c.has(path+".name") {
			c.fault(path+".name", "required where there are several rules: policy finds the token as input.tokens.NAME")
		}
		rules.rule(&j.Rules[i], path)
	}
}

// isResourceMetadata tells whether clients could fetch metadata from the address (RFC 9728, section 3).
func isResourceMetadata(address string) bool {
	u, err := url.Parse(address)
	return err == nil && formats["url"].is(address) && (u.Scheme == "https" || isLoopback(u.Hostname()))
}

// A ruleChecker remembers what may be in one rule only, and which rule that is.
type ruleChecker struct {
	*checker
	names, places, headers map[string]string
}

func (c *ruleChecker) rule(r *Rule, path string) {
	c.required(path, *r)
	c.name(r.Name, path+".name")
	c.trustDomain(r, path)
	c.positive(r.MaxLifetime, path+".maxLifetime")
	c.keys(r, path)
	for i := range r.FromHeaders {
		c.headerSource(&r.FromHeaders[i], index(path+".fromHeaders", i))
	}
	for i, cookie := range r.FromCookies {
		if at := index(path+".fromCookies", i); cookie != "" && !formats["cookie"].is(cookie) {
			c.fault(at, "must be a cookie's name")
		}
	}
	c.readPlaces(r, path)
	for i := range r.OutputClaimToHeaders {
		c.output(&r.OutputClaimToHeaders[i], index(path+".outputClaimToHeaders", i))
	}
	if c.has(path + ".outputPayloadToHeader") {
		c.outputHeader(&r.OutputPayloadToHeader, path+".outputPayloadToHeader")
		c.sets(r.OutputPayloadToHeader, path+".outputPayloadToHeader", path+".outputPayloadToHeader")
	}
	if r.Timeout < minFetchTimeout || r.Timeout > maxFetchTimeout {
		c.fault(path+".timeout", "must be from 100ms to 30s")
	}
}

func (c *ruleChecker) name(name, path string) {
	switch first := c.names[name]; {
	case name == "":
	case !formats["name"].is(name):
		c.fault(path, "must be %s", formats["name"].Meaning)
	case first != "":
		c.fault(path, "the same as %s", first)
	default:
		c.names[name] = path
	}
}

// trustDomain checks a rule for JWT-SVIDs.
func (c *ruleChecker) trustDomain(r *Rule, path string) {
	at := path + ".trustDomain"
	if !c.has(at) {
		return
	}
	for i, name := range r.Algorithms {
		if name == "EdDSA" {
			c.fault(index(path+".algorithms", i), "a JWT-SVID is signed with RS, PS or ES")
		}
	}
	switch {
	case !formats["trustDomain"].is(r.TrustDomain):
		c.fault(at, "must be %s", formats["trustDomain"].Meaning)
	case c.has(path + ".issuer"):
		c.fault(at, "issuer is set too; a rule is for one of them")
	case c.has(path + ".types"):
		c.fault(path+".types", "cannot be set beside trustDomain: those of a JWT-SVID are JWT, JOSE and none")
	case !c.has(path+".jwks") && !c.has(path+".jwksFile") && !c.has(path+".jwksUri"):
		c.fault(at, "needs the domain's bundle in jwks, jwksFile or jwksUri")
	}
}

// keys checks where a rule's keys come from.
func (c *ruleChecker) keys(r *Rule, path string) {
	var sources []string
	for _, name := range []string{"jwks", "jwksFile", "jwksUri"} {
		if c.has(path + "." + name) {
			sources = append(sources, name)
		}
	}
	if len(sources) > 1 {
		c.fault(path+"."+sources[1], "%s is set too; at most one of jwks, jwksFile and jwksUri may be", sources[0])
	}
	c.existingFile(&r.JWKSFile, path+".jwksFile")
	c.url(r.JWKSURI, path+".jwksUri", r.AllowInsecureHTTP, "")
	if len(sources) == 0 {
		c.url(r.Issuer, path+".issuer", r.AllowInsecureHTTP, "without jwks, jwksFile or jwksUri the keys are discovered at the issuer: ")
	}
}

// url checks an address that is fetched from. It is not quoted, since it may hold a password.
func (c *ruleChecker) url(address, path string, insecure bool, why string) {
	if address == "" {
		return
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		c.fault(path, "%smust be an https URL", why)
	case u.User != nil:
		c.fault(path, "%smust not hold a user name or password", why)
	case u.Fragment != "":
		c.fault(path, "%smust not hold a fragment", why)
	case u.Scheme == "http" && !insecure && !isLoopback(u.Hostname()):
		c.fault(path, "%smust be https; plain http needs a loopback host or allowInsecureHTTP: true", why)
	}
}

func (c *ruleChecker) headerSource(source *HeaderSource, path string) {
	if c.has(path) && !c.wrong[path] {
		c.required(path, *source)
	}
	c.header(&source.Name, path+".name")
	switch prefix := source.Prefix; {
	case strings.ContainsFunc(prefix, func(r rune) bool { return r < ' ' || r > '~' || r == ',' }):
		c.fault(path+".prefix", "must be visible ASCII and spaces, without a comma")
	case regexp.MustCompile(`[A-Za-z0-9]$`).MatchString(prefix):
		c.fault(path+".prefix", "must end with what parts it from the token; did you mean %s?", shown(prefix+" "))
	}
}

// readPlaces refuses two rules that would read the same token.
func (c *ruleChecker) readPlaces(r *Rule, path string) {
	read := func(at, kind, name, prefix string) {
		key := strings.Join([]string{r.Issuer, r.TrustDomain, kind, name, prefix}, "\x00")
		first, taken := c.places[key]
		switch {
		case r.Issuer == "" && r.TrustDomain == "" || name == "": // missed already
		case taken:
			c.fault(at, "%s reads the same place for the same issuer", first)
		default:
			c.places[key] = path
		}
	}
	for i, h := range r.FromHeaders {
		read(index(path+".fromHeaders", i), "header", h.Name, strings.ToLower(h.Prefix))
	}
	for i, name := range r.FromCookies {
		read(index(path+".fromCookies", i), "cookie", name, "")
	}
	for i, name := range r.FromParams {
		read(index(path+".fromParams", i), "param", name, "")
	}
}

func (c *ruleChecker) output(out *ClaimToHeader, path string) {
	if c.wrong[path] {
		return
	}
	c.required(path, *out)
	c.outputHeader(&out.Header, path+".header")
	c.sets(out.Header, path+".header", path)
}

// sets refuses two settings that would write one header. at is the setting that names it, by the one
// that other mistakes refer to.
func (c *ruleChecker) sets(header, at, by string) {
	// Many upstreams read "_" as "-", so the two are one header.
	key := strings.ReplaceAll(header, "_", "-")
	if first, taken := c.headers[key]; taken && key != "" {
		c.fault(at, "%s sets the same header", first)
		return
	}
	c.headers[key] = by
}
