// Package config reads the configuration file into one [Config].
//
// The journey of a file:
//
//  1. document: its bytes become one YAML tree, or there is a syntax error.
//  2. decode: the tree is laid over [Default]. A field that is unknown, set twice or ill-typed is
//     a [Mistake].
//  3. check: what types cannot say, such as names that must differ and files that must exist.
//
// A mistake never hides the next: all are collected with their places and returned as [Mistakes].
// A Config returned without an error needs no second validation: its names are valid, its header
// names lower-case, its paths resolved.
package config

//go:generate go run ./reference

import (
	"log/slog"
	"time"
)

// Config is the whole file. The comments of its fields are the text of reference.md, and with the
// tags they are what schema.json says. The tags are what decode and check know:
//
//	yaml      the name
//	required  "yes", or why the setting must be there
//	or        a setting that may be there instead of a required one
//	format    what a text must look like: a name of [Formats]
//	enum      the allowed values, separated by commas
//	note      why no others
//	empty     "ok" where an empty text or list, or 0, has a meaning
//	excludes  settings that must not be beside this one
//	needs     a setting that must be beside this one
//	source    where the name or the meaning comes from
//	restart   "yes" where a change needs a restart; what stands below inherits it
//	secret    "yes" where values may be credentials or long, and are not shown
type Config struct {
	Listen      Listen      `yaml:"listen" restart:"yes"`
	Limits      Limits      `yaml:"limits"`
	Request     Request     `yaml:"request"`
	JWT         JWT         `yaml:"jwt"`
	Policy      Policy      `yaml:"policy"`
	DecisionLog DecisionLog `yaml:"decisionLog"`
	Log         Log         `yaml:"log"`
	Telemetry   Telemetry   `yaml:"telemetry" restart:"yes"`

	source *source
}

// The values of Request.AmbiguousPaths.
const (
	DenyAmbiguousPaths = "deny"
	FlagAmbiguousPaths = "flag"
)

// Request says how a check is read, and how long it may take.
type Request struct {
	// AmbiguousPaths are denied with status 400, or flagged to the policy as input.path_ambiguous.
	AmbiguousPaths string `yaml:"ambiguousPaths" enum:"deny,flag"`

	// MaxBodyBytes is the largest request body that is read: 64KiB, 1MiB or a number of bytes. It
	// should equal max_request_bytes of Envoy's with_request_body, which does not say that it cut
	// a chunked body at exactly that size; policy then sees input.truncated_body all the same. A change
	// to more than 63MiB needs a restart.
	MaxBodyBytes Size `yaml:"maxBodyBytes" source:"Envoy, BufferSettings.max_request_bytes"`

	// Timeout is our own ceiling on a check, more than 0s; Envoy's shorter deadline goes before it.
	Timeout time.Duration `yaml:"timeout"`
}

// JWT says which tokens are read.
type JWT struct {
	// Leeway is allowed between the issuers' clocks and ours, from 0s to 5m.
	Leeway time.Duration `yaml:"leeway" empty:"ok" source:"RFC 7519, section 4.1.4"`

	// Realm is named in the WWW-Authenticate header of a refusal.
	Realm string `yaml:"realm" format:"realm" source:"RFC 9110, section 11.5"`

	// ResourceMetadata is the URL of this service's metadata, named in the WWW-Authenticate header of a
	// refusal; by it a client finds the issuer to ask for a token.
	ResourceMetadata string `yaml:"resourceMetadata" format:"url" source:"RFC 9728, section 5.1"`

	// Cache holds tokens that were verified.
	Cache Cache `yaml:"cache"`

	// Revocation says which tokens are refused though they are valid.
	Revocation Revocation `yaml:"revocation"`

	// Rules are the tokens that a request may carry.
	Rules []Rule `yaml:"rules" empty:"ok" source:"Istio, jwtRules"`
}

// Cache holds tokens that were verified, so that one which comes again costs no signature. Time, keys,
// revocation and client certificate are looked at every time all the same.
type Cache struct {
	// MaxBytes bounds the memory of the cache: 64KiB, 1MiB or a number of bytes. 0 turns it off.
	MaxBytes Size `yaml:"maxBytes" empty:"ok"`
}

// Revocation says which tokens are refused though they are valid.
type Revocation struct {
	// File is a list of revoked tokens, in YAML or JSON. It is watched: a second after it changed, no
	// token is taken that it revokes. A list that cannot be read does not replace the one before. It has
	// two members: revoked, a list, and updated, a time such as 2026-11-24T09:00:00Z at which the list
	// was known to be complete. An entry has issuer (of a JWT-SVID: spiffe:// and its trust domain) and
	// one of jti, sid, client_id (azp too) and sub; beside sub stands before, a time: tokens of the
	// subject that were issued before it are refused, and those without iat.
	File string `yaml:"file" source:"RFC 7519, section 4.1.7; OpenID Connect Back-Channel Logout 1.0, section 2.1"`

	// Data is the path of such a list in the policy's data: a/b for data.a.b. Rules are not asked. A
	// token is refused that either list revokes.
	Data string `yaml:"data" format:"entrypoint"`

	// MaxAge is how old updated may be, which must then be there. With an older list every token is
	// refused with status 503. Without it a list is good for ever.
	MaxAge time.Duration `yaml:"maxAge"`
}

// A Rule is one token that a request may carry, in the names of Istio's JWTRule.
type Rule struct {
	// Name is the key under input.tokens, where policy finds the token. Several rules must each have
	// one; a rule that is alone is called default.
	Name string `yaml:"name" format:"name"`

	// Issuer is what iss must be, byte by byte.
	Issuer string `yaml:"issuer" required:"a rule believes one issuer" or:"trustDomain" source:"Istio, JWTRule; RFC 7519, section 4.1.1"`

	// TrustDomain is a SPIFFE trust domain, such as example.org: the token is a JWT-SVID, its sub is the
	// SPIFFE ID of a workload of the domain, and the keys are those for jwt-svid of the domain's bundle,
	// which jwks, jwksFile or jwksUri must give. iss is not looked at.
	TrustDomain string `yaml:"trustDomain" format:"trustDomain" excludes:"issuer,types" source:"SPIFFE JWT-SVID; SPIFFE-ID, section 2.1"`

	// Required refuses a request without this token with status 401, before any policy is asked.
	// Without it policy decides what to do with a request whose slot is empty.
	Required bool `yaml:"required"`

	// Audiences are the names of this service; aud must have one of them, byte by byte.
	Audiences []string `yaml:"audiences" required:"without it a token that was issued for any other service would be taken (Istio takes it)" source:"Istio, JWTRule; RFC 7519, section 4.1.3"`

	// Algorithms narrows what the issuer's keys allow.
	Algorithms []string `yaml:"algorithms" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA" note:"HMAC and none are never accepted: whoever can verify those can also sign" source:"RFC 7518, section 3.1; RFC 8037"`

	// Types narrows the type header. Without it both types and an absent header are taken.
	Types []string `yaml:"types" enum:"JWT,at+jwt" source:"RFC 9068, section 2.1"`

	// MaxLifetime is the longest time that a token may live, from iat to exp; iat must then be there.
	// Without it any lifetime is taken.
	MaxLifetime time.Duration `yaml:"maxLifetime"`

	// JWKS is the JWK set itself, as JSON text. At most one of jwks, jwksFile and jwksUri is set;
	// with none of them the keys are found by OpenID discovery at the issuer.
	JWKS string `yaml:"jwks" excludes:"jwksFile,jwksUri" secret:"yes" source:"Istio, JWTRule; RFC 7517, section 5"`

	// JWKSFile is a file with the JWK set. It is watched.
	JWKSFile string `yaml:"jwksFile" excludes:"jwksUri" source:"RFC 7517, section 5"`

	// JWKSURI is where the JWK set is fetched from.
	JWKSURI string `yaml:"jwksUri" format:"url" source:"Istio, JWTRule"`

	// AllowInsecureHTTP accepts plain HTTP to another machine than this one, for keys and discovery.
	// Whoever is on the way can then sign tokens.
	AllowInsecureHTTP bool `yaml:"allowInsecureHTTP"`

	// Timeout bounds one fetch of the keys, discovery included, from 100ms to 30s. No check waits so
	// long: keys are fetched in the background.
	Timeout time.Duration `yaml:"timeout" source:"Istio, JWTRule"`

	// FromHeaders are the headers where the token may be. Naming any place, here, in fromCookies or
	// in fromParams, replaces the default.
	FromHeaders []HeaderSource `yaml:"fromHeaders" source:"Istio, JWTRule; RFC 6750, section 2.1"`

	// FromCookies are the cookies where the token may be.
	FromCookies []string `yaml:"fromCookies" format:"cookie" source:"Istio, JWTRule; RFC 6265, section 4.1.1"`

	// FromParams are the query parameters where the token may be. URLs end up in logs and histories.
	FromParams []string `yaml:"fromParams" source:"Istio, JWTRule; advised against by RFC 9700, section 4.3.2"`

	// ForwardOriginalToken passes the verified token upstream.
	ForwardOriginalToken bool `yaml:"forwardOriginalToken" source:"Istio, JWTRule"`

	// OutputClaimToHeaders are claims that go upstream as headers. Each header is set or removed on
	// every allow, so that no client can bring its own.
	OutputClaimToHeaders []ClaimToHeader `yaml:"outputClaimToHeaders" empty:"ok" source:"Istio, JWTRule"`

	// OutputPayloadToHeader is a header for the whole payload of the verified token, base64url without
	// padding. It too is set or removed on every allow.
	OutputPayloadToHeader string `yaml:"outputPayloadToHeader" format:"output" source:"Istio, JWTRule"`

	// SpaceDelimitedClaims are claims of the top level that policy sees as lists of words. Headers
	// are written from the claims as the issuer signed them.
	SpaceDelimitedClaims []string `yaml:"spaceDelimitedClaims" empty:"ok" source:"Istio, JWTRule"`
}

// A HeaderSource is a header that carries a token, after a prefix.
type HeaderSource struct {
	// Name is the header's, in small letters or capitals.
	Name string `yaml:"name" format:"header" required:"yes"`

	// Prefix comes before the token. One that is a scheme and a space, such as "Bearer ", is compared
	// without regard to case (RFC 9110, section 11.1), any other exactly.
	Prefix string `yaml:"prefix" format:"prefix" empty:"ok"`
}

// A ClaimToHeader is a claim that goes upstream as a header.
type ClaimToHeader struct {
	// Header is the header's name, in small letters or capitals.
	Header string `yaml:"header" format:"output" required:"yes"`

	// Claim is a name, or a path of names in nested objects, joined with dots. Texts, numbers and
	// true and false are written as they are, lists of them joined with commas; for anything else
	// the header is removed.
	Claim string `yaml:"claim" required:"yes"`
}

// Policy says what is asked about a request.
type Policy struct {
	// Path is the entrypoint, a/b/allow for the rule data.a.b.allow, that is asked where no entry of
	// entrypoints matches.
	Path string `yaml:"path" format:"entrypoint" source:"opa-envoy-plugin, path"`

	// Entrypoints are rules that are asked about some of the checks. The first that matches is asked.
	// A rule that is not there stops the start; one that a bundle drops later denies.
	Entrypoints []Entrypoint `yaml:"entrypoints" empty:"ok"`

	// Files are Rego, JSON and YAML files, bundles, and directories of these. They are watched.
	// Without any, and without bundles, the shipped policies decide. Policies may import the packages
	// of the library (policies/README.md), which are added where they are.
	Files []string `yaml:"files" empty:"ok"`

	// Data is merged under data. What it holds is the policy's matter.
	Data map[string]any `yaml:"data" source:"OPA, data" secret:"yes"`

	// OutputHeaders are the headers that the policy may set, beside those that can be read from it.
	OutputHeaders []string `yaml:"outputHeaders" format:"output" empty:"ok"`

	// Capabilities are what the policy may use.
	Capabilities Capabilities `yaml:"capabilities" source:"OPA, capabilities"`

	// ProtoDescriptor is a file with a FileDescriptorSet: protoc --include_imports --descriptor_set_out,
	// or buf build -o. It is watched. Messages of the methods in it, compressed with gzip or not, are
	// then in parsed_body, where Envoy's with_request_body says pack_as_bytes; gRPC of other methods,
	// and streams from the client, are null there.
	ProtoDescriptor string `yaml:"protoDescriptor" source:"opa-envoy-plugin, proto-descriptor"`

	// SkipRequestBodyParse reads no body: policy has no parsed_body and no truncated_body, and a body
	// that is malformed is no reason to deny.
	SkipRequestBodyParse bool `yaml:"skipRequestBodyParse" excludes:"protoDescriptor" source:"opa-envoy-plugin, skip-request-body-parse"`

	// MaxSteps is the most expressions that one evaluation may look at, about a million a second,
	// before it is denied. Long texts that it builds count too.
	MaxSteps Count `yaml:"maxSteps"`

	// Memo holds decisions that were made, for checks that are the same in all that the policy looks at.
	Memo Memo `yaml:"memo"`

	// OPA is OPA's own configuration, word for word: services, bundles, keys, discovery, status,
	// decision_logs, labels, caching, persistence_directory. ${NAME} in a text is the environment variable NAME. Bundles
	// and files together are one policy: a package comes from one of them.
	OPA map[string]any `yaml:"opa" source:"OPA, configuration" secret:"yes"`

	// Candidate is a policy on trial.
	Candidate *Candidate `yaml:"candidate"`
}

// Memo holds decisions that were made, so that a check which is the same in all that the policy looks
// at costs no evaluation. New policy or data begins with an empty memo; a policy whose answer may differ
// from time to time (http.send, time.now_ns), or that reads all of input, has none.
type Memo struct {
	// MaxBytes bounds the memory of the memo: 64KiB, 1MiB or a number of bytes. 0 turns it off.
	MaxBytes Size `yaml:"maxBytes" empty:"ok"`
}

// An Entrypoint is a rule that is asked about the checks for which all its conditions hold: host,
// contextExtension, network. It has at least one.
type Entrypoint struct {
	// Host is the host that the request asks for, without a port; *.example.com is every name below
	// example.com. It is the client's word: where one upstream has two hosts, use contextExtension.
	Host string `yaml:"host" format:"host" excludes:"network"`

	// ContextExtension has entries of context_extensions, which Envoy sets for a route or a virtual
	// host. The check has all of them.
	ContextExtension map[string]string `yaml:"contextExtension" source:"Envoy, CheckSettings"`

	// Network means the checks without HTTP, those of Envoy's network filter.
	Network bool `yaml:"network"`

	// Path is the rule, as in policy.path.
	Path string `yaml:"path" required:"yes" format:"entrypoint"`

	// OutputHeaders are headers that this rule may set, as in policy.outputHeaders, which is for the
	// rule of policy.path alone.
	OutputHeaders []string `yaml:"outputHeaders" format:"output" empty:"ok"`
}

// Capabilities are what the policy may use.
type Capabilities struct {
	// AllowNet are the hosts that http.send and net.lookup_ip_addr may reach, on any port. Without
	// any, policies cannot use the network.
	AllowNet []string `yaml:"allowNet" format:"dns" empty:"ok" source:"OPA, capabilities: allow_net"`

	// Builtins are the functions that policies may call; operators are always there. Without it, all
	// may be called that allowNet allows.
	Builtins []string `yaml:"builtins" source:"OPA, capabilities: builtins"`
}

// The values of Log.Format.
const (
	TextLog = "text"
	JSONLog = "json"
)

// Log says how messages for the operator are written to standard error. There is none per request.
type Log struct {
	// Format is text or json, one line a message.
	Format string `yaml:"format" enum:"text,json" restart:"yes"`

	// Level is the least severe level that is written.
	Level string `yaml:"level" enum:"debug,info,warn,error" source:"log/slog, Level"`
}

// Severity is the level as log/slog has it.
func (l Log) Severity() slog.Level {
	return map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}[l.Level]
}

// Telemetry has what no variable of OpenTelemetry says. Exporters, sampling, resource and the rest
// follow the OTEL_* variables: OTEL_EXPORTER_OTLP_ENDPOINT turns on traces, metrics and logs over OTLP.
// Metrics for Prometheus are at /metrics of listen.admin.
type Telemetry struct {
	// ClientTrace is what becomes of a traceparent (or what else OTEL_PROPAGATORS names) that the client
	// sent and Envoy did not take up: our span links to it, has it for its parent where Envoy sends no
	// trace of its own, or ignores it. As a parent it lets every client decide what is sampled.
	ClientTrace string `yaml:"clientTrace" enum:"link,parent,ignore" source:"W3C Trace Context, section 4.3"`
}
