package config_test

import "testing"

// rule1 is a valid rule for others to be wrong beside; it is on line 3.
const rule1 = "jwt:\n rules:\n - {name: users, issuer: 'https://a.example.com', audiences: [x], outputClaimToHeaders: [{header: X-User, claim: sub}]}\n"

const (
	noName      = "required where there are several rules: policy finds the token as input.tokens.NAME"
	noAudiences = "required: without it a token that was issued for any other service would be taken (Istio takes it)"
)

func TestParseRules(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"nothing in it", "jwt:\n rules:\n - {}\n -\n - text\n", []string{
			"3:4: jwt.rules[0].audiences: " + noAudiences,
			"3:4: jwt.rules[0].issuer: required: a rule believes one issuer",
			"3:4: jwt.rules[0].name: " + noName,
			"4:3: jwt.rules[1].audiences: " + noAudiences,
			"4:3: jwt.rules[1].issuer: required: a rule believes one issuer",
			"4:3: jwt.rules[1].name: " + noName,
			"5:4: jwt.rules[2]: must be a mapping, not text"}},
		{"empty values", "jwt: {rules: [{name: '', issuer: '', audiences: [], jwks: '', fromHeaders: [], fromCookies: [''], fromParams: ['']}]}\n", []string{
			"1:22: jwt.rules[0].name: must not be empty",
			"1:34: jwt.rules[0].issuer: must not be empty",
			"1:49: jwt.rules[0].audiences: must not be empty",
			"1:59: jwt.rules[0].jwks: must not be empty",
			"1:76: jwt.rules[0].fromHeaders: must not be empty",
			"1:94: jwt.rules[0].fromCookies[0]: must not be empty",
			"1:112: jwt.rules[0].fromParams[0]: must not be empty"}},
		{"a realm that is no header's", "jwt: {realm: \"a\\nb\"}\n", []string{
			"1:14: jwt.realm: must be printable ASCII"}},
		{"metadata over plain HTTP", "jwt: {resourceMetadata: 'http://orders.example.com/'}\n", []string{
			"1:25: jwt.resourceMetadata: must be an https URL; plain http needs a loopback host"}},
		{"a list that is not there", "jwt: {revocation: {file: absent.yaml, maxAge: -1s}}\n", []string{
			`1:26: jwt.revocation.file: "absent.yaml": no such file or directory`,
			"1:47: jwt.revocation.maxAge: must be more than 0"}},
		{"an age without a list", "jwt: {revocation: {maxAge: 1m}}\n", []string{
			"1:28: jwt.revocation.maxAge: needs file or data: there is no list that could grow old"}},
		{"no lifetime", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], maxLifetime: 0s}\n", []string{
			"4:64: jwt.rules[1].maxLifetime: must be more than 0"}},
		{"a domain that is none", rule1 + " - {name: b, trustDomain: 'spiffe://b', audiences: [x], jwksUri: 'https://b'}\n", []string{
			"4:27: jwt.rules[1].trustDomain: must be the name of a SPIFFE trust domain, such as example.org"}},
		{"a domain beside an issuer", rule1 + " - {name: b, issuer: 'https://b', trustDomain: b, audiences: [x], jwksUri: 'https://b'}\n", []string{
			"4:48: jwt.rules[1].trustDomain: issuer is set too; a rule is for one of them"}},
		{"a domain with types and EdDSA", rule1 + " - {name: b, trustDomain: b, audiences: [x], types: [JWT], algorithms: [RS256, EdDSA], jwksUri: 'https://b'}\n", []string{
			"4:53: jwt.rules[1].types: cannot be set beside trustDomain: those of a JWT-SVID are JWT, JOSE and none",
			"4:80: jwt.rules[1].algorithms[1]: a JWT-SVID is signed with RS, PS or ES"}},
		{"a domain without a bundle", rule1 + " - {name: b, trustDomain: b, audiences: [x]}\n", []string{
			"4:27: jwt.rules[1].trustDomain: needs the domain's bundle in jwks, jwksFile or jwksUri"}},
		{"a domain twice in one place", rule1 + " - {name: b, trustDomain: b, audiences: [x], jwksUri: 'https://b'}\n - {name: c, trustDomain: b, audiences: [x], jwksUri: 'https://b'}\n", []string{
			"5:4: jwt.rules[2].fromHeaders[0]: jwt.rules[1] reads the same place for the same issuer"}},
		{"a name that is none", rule1 + " - {name: Users, issuer: 'https://b', audiences: [x]}\n", []string{
			"4:11: jwt.rules[1].name: must be a small letter and then letters, digits, _ or -, 64 at most"}},
		{"a name twice", rule1 + " - {name: users, issuer: 'https://b', audiences: [x]}\n", []string{
			"4:11: jwt.rules[1].name: the same as jwt.rules[0].name"}},
		{"algorithms", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], algorithms: [HS256, none, rs256, ES256K]}\n", []string{
			`4:64: jwt.rules[1].algorithms[0]: unknown value "HS256"` + algorithms,
			`4:71: jwt.rules[1].algorithms[1]: unknown value "none"` + algorithms,
			`4:77: jwt.rules[1].algorithms[2]: unknown value "rs256"` + algorithms,
			`4:84: jwt.rules[1].algorithms[3]: unknown value "ES256K"` + algorithms}},
		{"types", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], types: [dpop+jwt]}\n", []string{
			`4:59: jwt.rules[1].types[0]: unknown value "dpop+jwt"; must be one of JWT, at+jwt`}},
		{"a JWK set that is not text", rule1 + " - {name: b, issuer: b, audiences: [x], jwks: {keys: []}}\n", []string{
			"4:47: jwt.rules[1].jwks: must be text, not a mapping"}},
		{"three key sources", rule1 + " - {name: b, issuer: b, audiences: [x], jwks: '{}', jwksFile: testdata/file, jwksUri: 'https://b'}\n", []string{
			"4:63: jwt.rules[1].jwksFile: jwks is set too; at most one of jwks, jwksFile and jwksUri may be"}},
		{"a key file that is not there", rule1 + " - {name: b, issuer: b, audiences: [x], jwksFile: absent.json}\n", []string{
			`4:51: jwt.rules[1].jwksFile: "absent.json": no such file or directory`}},
		{"no time to fetch, and too much", rule1 + " - {name: b, issuer: b, audiences: [x], jwksUri: 'https://b', timeout: 0s}\n - {name: c, issuer: c, audiences: [x], jwksUri: 'https://b', timeout: 31s}\n", []string{
			"4:72: jwt.rules[1].timeout: must be from 100ms to 30s",
			"5:72: jwt.rules[2].timeout: must be from 100ms to 30s"}},
		{"plain HTTP", rule1 + " - {name: b, issuer: b, audiences: [x], jwksUri: 'http://b.example.com/jwks'}\n", []string{
			"4:50: jwt.rules[1].jwksUri: must be https; plain http needs a loopback host or allowInsecureHTTP: true"}},
		{"no URL", rule1 + " - {name: b, issuer: b, audiences: [x], jwksUri: b.example.com/jwks}\n", []string{
			"4:50: jwt.rules[1].jwksUri: must be an https URL"}},
		{"a fragment", rule1 + " - {name: b, issuer: b, audiences: [x], jwksUri: 'https://b/#c'}\n", []string{
			"4:50: jwt.rules[1].jwksUri: must not hold a fragment"}},
		{"a password is not repeated", rule1 + " - {name: b, issuer: b, audiences: [x], jwksUri: 'https://me:secret@b/'}\n", []string{
			"4:50: jwt.rules[1].jwksUri: must not hold a user name or password"}},
		{"no keys, and an issuer that is no URL", rule1 + " - {name: b, issuer: b.example.com, audiences: [x]}\n", []string{
			"4:22: jwt.rules[1].issuer: without jwks, jwksFile or jwksUri the keys are discovered at the issuer: must be an https URL"}},
	})
}

const algorithms = "; must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA " +
	"(HMAC and none are never accepted: whoever can verify those can also sign)"

func TestParsePlaces(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"headers", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], fromHeaders: [{}, ~, text, {name: 'a b'}, {name: ':path'}, {name: Host}]}\n", []string{
			"4:65: jwt.rules[1].fromHeaders[0].name: required",
			"4:69: jwt.rules[1].fromHeaders[1].name: required",
			"4:72: jwt.rules[1].fromHeaders[2]: must be a mapping, not text",
			"4:85: jwt.rules[1].fromHeaders[3].name: must be a header name",
			"4:100: jwt.rules[1].fromHeaders[4].name: must not be a pseudo-header",
			"4:117: jwt.rules[1].fromHeaders[5].name: must not be host"}},
		{"prefixes", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], fromHeaders: [{name: a, prefix: Bearer}, {name: b, prefix: \"a\\n\"}, {name: c, prefix: 'a,'}]}\n", []string{
			`4:83: jwt.rules[1].fromHeaders[0].prefix: must end with what parts it from the token; did you mean "Bearer "?`,
			"4:110: jwt.rules[1].fromHeaders[1].prefix: must be visible ASCII and spaces, without a comma",
			"4:136: jwt.rules[1].fromHeaders[2].prefix: must be visible ASCII and spaces, without a comma"}},
		{"a cookie", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], fromCookies: ['a=b']}\n", []string{
			"4:65: jwt.rules[1].fromCookies[0]: must be a cookie's name"}},
		{"the default place twice", rule1 + " - {name: b, issuer: 'https://a.example.com', audiences: [y]}\n", []string{
			"4:4: jwt.rules[1].fromHeaders[0]: jwt.rules[0] reads the same place for the same issuer"}},
		{"the default place, spelled out", rule1 + " - {name: b, issuer: 'https://a.example.com', audiences: [y], fromHeaders: [{name: AUTHORIZATION, prefix: 'bearer '}]}\n", []string{
			"4:77: jwt.rules[1].fromHeaders[0]: jwt.rules[0] reads the same place for the same issuer"}},
		{"a cookie and a parameter twice in a rule", rule1 + " - {name: b, issuer: 'https://a.example.com', audiences: [y], fromCookies: [c, c], fromParams: [p, p]}\n", []string{
			"4:80: jwt.rules[1].fromCookies[1]: jwt.rules[1] reads the same place for the same issuer",
			"4:100: jwt.rules[1].fromParams[1]: jwt.rules[1] reads the same place for the same issuer"}},
	})
}

func TestParseOutputs(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"a header that another rule sets", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], outputClaimToHeaders: [{header: x_user, claim: sub}]}\n", []string{
			"4:83: jwt.rules[1].outputClaimToHeaders[0].header: jwt.rules[0].outputClaimToHeaders[0] sets the same header"}},
		{"what is no header is not also twice", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], outputClaimToHeaders: [{header: ':a', claim: b}, {header: ':a', claim: c}]}\n", []string{
			"4:83: jwt.rules[1].outputClaimToHeaders[0].header: must not be a pseudo-header",
			"4:109: jwt.rules[1].outputClaimToHeaders[1].header: must not be a pseudo-header"}},
		{"a header twice", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], outputClaimToHeaders: [{header: a, claim: b}, {header: A, claim: c}]}\n", []string{
			"4:106: jwt.rules[1].outputClaimToHeaders[1].header: jwt.rules[1].outputClaimToHeaders[0] sets the same header"}},
		{"a payload where a claim is", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], outputPayloadToHeader: x_user}\n", []string{
			"4:74: jwt.rules[1].outputPayloadToHeader: jwt.rules[0].outputClaimToHeaders[0] sets the same header"}},
		{"a payload that frames", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], outputPayloadToHeader: Trailer}\n", []string{
			"4:74: jwt.rules[1].outputPayloadToHeader: must not be a header that frames the request"}},
		{"what is missing or not a header's name", rule1 + " - {name: b, issuer: 'https://b', audiences: [x], outputClaimToHeaders: [{}, text, {header: Upgrade, claim: ''}]}\n", []string{
			"4:74: jwt.rules[1].outputClaimToHeaders[0].claim: required",
			"4:74: jwt.rules[1].outputClaimToHeaders[0].header: required",
			"4:78: jwt.rules[1].outputClaimToHeaders[1]: must be a mapping, not text",
			"4:93: jwt.rules[1].outputClaimToHeaders[2].header: must not be a header that frames the request",
			"4:109: jwt.rules[1].outputClaimToHeaders[2].claim: must not be empty"}},
	})
}
