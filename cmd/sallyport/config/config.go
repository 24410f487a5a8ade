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

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"time"
)

// maxFileBytes is far above any configuration written by hand; larger data belongs in policy.files.
const maxFileBytes = 1 << 20

// Config is the whole file. The tags of its fields are what decode knows:
//
//	yaml         the name
//	enum         the allowed values, separated by commas
//	note         why no others
//	empty        "ok" where an empty text or list has a meaning
//	unsupported  what to use instead of a setting that this version does not have yet
type Config struct {
	Listen      Listen      `yaml:"listen"`
	Request     Request     `yaml:"request"`
	JWT         JWT         `yaml:"jwt"`
	Policy      Policy      `yaml:"policy"`
	DecisionLog DecisionLog `yaml:"decisionLog"`

	source *source
}

// Listen says where the server listens, and who may ask it.
type Listen struct {
	// GRPC is the address that Envoy asks: host:port or unix:///path.
	GRPC Address `yaml:"grpc"`

	// Admin serves health and metrics; "" turns it off.
	Admin Address `yaml:"admin" empty:"ok"`

	// TLS is for the gRPC listener; nil is plain text.
	TLS *TLS `yaml:"tls"`

	// Insecure accepts a gRPC listener that other machines can reach and that does not ask them
	// for a certificate. Without it, such a listener is a mistake.
	Insecure bool `yaml:"insecure"`
}

// TLS is the gRPC listener's TLS.
type TLS struct {
	CertFile string `yaml:"certFile"` // PEM; required
	KeyFile  string `yaml:"keyFile"`  // PEM; required

	// ClientCAFile holds the authorities of client certificates. Set: clients must present one.
	ClientCAFile string `yaml:"clientCAFile"`

	// AllowedClients are the SPIFFE ids or DNS names of the clients that may ask; nil means any
	// with a certificate.
	AllowedClients []string `yaml:"allowedClients"`
}

// The values of Request.AmbiguousPaths.
const (
	DenyAmbiguousPaths = "deny"
	FlagAmbiguousPaths = "flag"
)

// Request says how a check is read, and how long it may take.
type Request struct {
	// AmbiguousPaths are denied, or flagged to the policy as input.path_ambiguous.
	AmbiguousPaths string `yaml:"ambiguousPaths" enum:"deny,flag"`

	// MaxBodyBytes is the largest request body that is read: 64KiB, 1MiB or a number of bytes. It
	// should equal max_request_bytes of Envoy's with_request_body, which does not say that it cut
	// a chunked body at exactly that size; policy then sees input.truncated_body all the same.
	MaxBodyBytes Size `yaml:"maxBodyBytes"`

	// Timeout is our own ceiling on a check; Envoy's shorter deadline goes before it.
	Timeout time.Duration `yaml:"timeout"`
}

// JWT says which tokens are read.
type JWT struct {
	// Leeway is allowed between the issuers' clocks and ours.
	Leeway time.Duration `yaml:"leeway"`
	Rules  []Rule        `yaml:"rules" empty:"ok"`
}

// A Rule is one token that a request may carry, in the names of Istio's JWTRule.
type Rule struct {
	// Name is the key under input.tokens; required.
	Name string `yaml:"name"`

	// Issuer and Audiences are what iss and aud must be; required.
	Issuer    string   `yaml:"issuer"`
	Audiences []string `yaml:"audiences"`

	// Algorithms narrows what the keys allow; nil does not.
	Algorithms []string `yaml:"algorithms" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA" note:"HMAC and none are never accepted: whoever can verify those can also sign"`

	// Types narrows the type header; nil accepts both types and an absent header.
	Types []string `yaml:"types" enum:"JWT,at+jwt"`

	// JWKS is the JWK set itself, JWKSFile a file with it, JWKSURI where it is fetched from. At
	// most one is set; none is OpenID discovery at the issuer.
	JWKS     string `yaml:"jwks"`
	JWKSFile string `yaml:"jwksFile"`
	JWKSURI  string `yaml:"jwksUri"`

	// AllowInsecureHTTP accepts plain HTTP to another machine.
	AllowInsecureHTTP bool `yaml:"allowInsecureHTTP"`

	// FromHeaders, FromCookies and FromParams are the places where the token may be.
	FromHeaders []HeaderSource `yaml:"fromHeaders"`
	FromCookies []string       `yaml:"fromCookies"`
	FromParams  []string       `yaml:"fromParams"`

	// ForwardOriginalToken passes the verified token upstream.
	ForwardOriginalToken bool `yaml:"forwardOriginalToken"`

	OutputClaimToHeaders []ClaimToHeader `yaml:"outputClaimToHeaders" empty:"ok"`
}

// A HeaderSource is a header that carries a token, after a prefix.
type HeaderSource struct {
	Name   string `yaml:"name"` // required; lower-case after reading
	Prefix string `yaml:"prefix" empty:"ok"`
}

// A ClaimToHeader is a claim that goes upstream as a header.
type ClaimToHeader struct {
	Header string `yaml:"header"` // required; lower-case after reading
	Claim  string `yaml:"claim"`  // required
}

// Policy says what is asked about a request.
type Policy struct {
	// Path is the entrypoint.
	Path string `yaml:"path"`

	// Files are Rego, JSON and YAML files, bundles, and directories of these; empty means the
	// shipped policies.
	Files []string `yaml:"files" empty:"ok"`

	// Data is merged under data. Its numbers are json.Number.
	Data map[string]any `yaml:"data"`

	// OutputHeaders are the headers that the policy may set, beside those that can be read from it.
	// Lower-case after reading.
	OutputHeaders []string `yaml:"outputHeaders" empty:"ok"`

	// OPA is OPA's own configuration.
	OPA map[string]any `yaml:"opa" unsupported:"use policy.files"`
}

// DecisionLog says where the record of each check goes.
type DecisionLog struct {
	Stdout bool   `yaml:"stdout"`
	File   string `yaml:"file"`
}

// Load reads the file at path. An error about its content is [Mistakes].
func Load(path string) (*Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a file's bytes; an error is [Mistakes]. Relative paths are taken from the directory
// of the file's name. An empty file is valid: it is [Default], which has no token rules, and whose
// shipped policies deny everything.
func Parse(name string, data []byte) (*Config, error) {
	src := newSource(name)
	root := src.document(data)
	if len(src.mistakes) > 0 {
		return nil, src.mistakes
	}
	cfg := Default()
	cfg.source = src
	if root != nil {
		src.decode(root, "", reflect.ValueOf(&cfg).Elem(), "")
	}
	cfg.fillRules()
	check := checker{source: src, dir: filepath.Dir(name)}
	check.config(&cfg)
	if len(src.mistakes) > 0 {
		return nil, src.sorted()
	}
	return &cfg, nil
}
