package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

func TestParse(t *testing.T) {
	usual := []config.HeaderSource{{Name: "authorization", Prefix: "Bearer "}}
	tests := []struct {
		name, file string
		want       func(*config.Config) // changes the defaults
	}{
		{name: "an empty file", file: "", want: func(*config.Config) {}},
		{name: "comments alone", file: "# nothing yet\n", want: func(*config.Config) {}},
		{name: "sections without settings", file: "listen:\njwt:\npolicy: {data: }\n", want: func(*config.Config) {}},
		{
			name: "the smallest rule",
			file: `
jwt:
  rules:
    - {name: users, issuer: "https://login.example.com", audiences: [orders]}
`,
			want: func(c *config.Config) {
				c.JWT.Rules = []config.Rule{{
					Name: "users", Issuer: "https://login.example.com", Audiences: []string{"orders"}, FromHeaders: usual,
					Timeout: 5 * time.Second,
				}}
			},
		},
		{
			name: "a rule that is alone needs no name",
			file: "jwt: {rules: [{issuer: 'https://login.example.com', audiences: [orders]}]}",
			want: func(c *config.Config) {
				c.JWT.Rules = []config.Rule{{
					Name: "default", Issuer: "https://login.example.com", Audiences: []string{"orders"}, FromHeaders: usual,
					Timeout: 5 * time.Second,
				}}
			},
		},
		{
			name: "every setting",
			file: `
listen:
  grpc: unix:///run/sallyport/grpc.sock
  admin: ""
  insecure: true
  insecureAdmin: true
  adminTLS: {certFile: testdata/file, keyFile: testdata/file, clientCAFile: testdata/file, allowedClients: [prometheus.example.com]}
  socket: {mode: "0600", owner: envoy, group: "1337"}
  reflection: true
  drain: {delay: 0, timeout: 1m}
limits: {checks: 10, wait: 5ms, connections: 11, streams: 12, headerBytes: 13KiB, connectionAge: 1h}
request:
  ambiguousPaths: flag
  maxBodyBytes: 64KiB
  timeout: 500ms
jwt:
  leeway: 1m
  cache: {maxBytes: 0}
  revocation: {file: testdata/file, data: mesh/revoked, maxAge: 5m}
  rules:
    - name: users
      required: true
      maxLifetime: 1h
      issuer: login.example.com
      audiences: [orders, "2026"]
      algorithms: [RS256, EdDSA]
      types: [at+jwt]
      jwksUri: http://issuer.internal/jwks
      allowInsecureHTTP: true
      timeout: 250ms
      fromHeaders: [{name: X-Token, prefix: "Token "}, {name: X-Bare}]
      fromCookies: [session]
      fromParams: [access_token]
      forwardOriginalToken: true
      outputClaimToHeaders: [{header: X-User, claim: sub}]
      outputPayloadToHeader: X-Payload
      spaceDelimitedClaims: [scope]
    - name: workload
      issuer: https://spire.example.com
      audiences: [mesh]
      jwks: '{"keys": []}'
      fromCookies: [workload]
    - name: svid
      trustDomain: example.org
      audiences: [mesh]
      jwksUri: https://spire.example.org/bundle
      fromCookies: [workload]
policy:
  path: mesh/authz/decision
  data:
    limit: 9007199254740993
    ratio: 1.50
    mask: 0x10
    day: 2026-11-01
    "on": yes
    routes: [{path: /orders/**, public: true, note: ~}]
  outputHeaders: [X-Tenant]
  maxSteps: 5000
  memo: {maxBytes: 0}
  protoDescriptor: testdata/file
  entrypoints:
    - {host: "*.orders.example.com", path: orders/authz/allow, outputHeaders: [X-Order]}
    - {contextExtension: {policy: orders, tier: "1"}, path: orders/authz/allow}
    - {network: true, path: mesh/network/allow}
  capabilities: {allowNet: [opa.example.com, 127.0.0.1], builtins: [count, http.send]}
  opa:
    services: {registry: {url: "https://bundles.example.com"}}
    bundles: {authz: {service: registry, polling: {min_delay_seconds: 10}}}
decisionLog:
  stdout: false
  file: testdata/decisions.ndjson
  maxSize: 64MiB
  maxFiles: 5
  maxAge: 168h
  otlp: true
  whenFull: deny
  blockTimeout: 20ms
  queueBytes: 1MiB
  queueRecords: 1000
  keep: {input: all, headers: [X-Tenant], cookies: [lang], query: [page], claims: ["*"], body: [amount]}
log: {format: json, level: warn}
telemetry: {clientTrace: parent}
`,
			want: func(c *config.Config) {
				c.Listen = config.Listen{
					GRPC: config.Address{Network: "unix", Address: "/run/sallyport/grpc.sock"}, Insecure: true, InsecureAdmin: true,
					AdminTLS: &config.TLS{
						CertFile: "testdata/file", KeyFile: "testdata/file", ClientCAFile: "testdata/file", AllowedClients: []string{"prometheus.example.com"},
					},
					Socket: config.Socket{Mode: "0600", Owner: "envoy", Group: "1337"}, Reflection: true, Drain: config.Drain{Timeout: time.Minute},
				}
				c.Limits = config.Limits{Checks: 10, Wait: 5 * time.Millisecond, Connections: 11, Streams: 12, HeaderBytes: 13 << 10, ConnectionAge: time.Hour}
				c.Request = config.Request{AmbiguousPaths: config.FlagAmbiguousPaths, MaxBodyBytes: 64 << 10, Timeout: 500 * time.Millisecond}
				c.JWT = config.JWT{Leeway: time.Minute, Revocation: config.Revocation{File: "testdata/file", Data: "mesh/revoked", MaxAge: 5 * time.Minute}, Rules: []config.Rule{{
					Name: "users", Required: true, MaxLifetime: time.Hour, Issuer: "login.example.com", Audiences: []string{"orders", "2026"},
					Algorithms: []string{"RS256", "EdDSA"}, Types: []string{"at+jwt"},
					JWKSURI: "http://issuer.internal/jwks", AllowInsecureHTTP: true, Timeout: 250 * time.Millisecond,
					FromHeaders: []config.HeaderSource{{Name: "x-token", Prefix: "Token "}, {Name: "x-bare"}},
					FromCookies: []string{"session"}, FromParams: []string{"access_token"}, ForwardOriginalToken: true,
					OutputClaimToHeaders:  []config.ClaimToHeader{{Header: "x-user", Claim: "sub"}},
					OutputPayloadToHeader: "x-payload", SpaceDelimitedClaims: []string{"scope"},
				}, {
					Name: "workload", Issuer: "https://spire.example.com", Audiences: []string{"mesh"},
					JWKS: `{"keys": []}`, FromCookies: []string{"workload"}, Timeout: 5 * time.Second,
				}, {
					Name: "svid", TrustDomain: "example.org", Audiences: []string{"mesh"},
					JWKSURI: "https://spire.example.org/bundle", FromCookies: []string{"workload"}, Timeout: 5 * time.Second,
				}}}
				c.Policy = config.Policy{
					Path: "mesh/authz/decision", OutputHeaders: []string{"x-tenant"}, MaxSteps: 5000, ProtoDescriptor: "testdata/file",
					Entrypoints: []config.Entrypoint{
						{Host: "*.orders.example.com", Path: "orders/authz/allow", OutputHeaders: []string{"x-order"}},
						{ContextExtension: map[string]string{"policy": "orders", "tier": "1"}, Path: "orders/authz/allow"},
						{Network: true, Path: "mesh/network/allow"},
					},
					Capabilities: config.Capabilities{
						AllowNet: []string{"opa.example.com", "127.0.0.1"}, Builtins: []string{"count", "http.send"},
					},
					OPA: map[string]any{
						"services": map[string]any{"registry": map[string]any{"url": "https://bundles.example.com"}},
						"bundles": map[string]any{"authz": map[string]any{
							"service": "registry", "polling": map[string]any{"min_delay_seconds": json.Number("10")},
						}},
					},
					Data: map[string]any{
						"limit": json.Number("9007199254740993"), "ratio": json.Number("1.50"), "mask": json.Number("16"),
						"day": "2026-11-01", "on": "yes",
						"routes": []any{map[string]any{"path": "/orders/**", "public": true, "note": nil}},
					},
				}
				c.DecisionLog = config.DecisionLog{
					File: "testdata/decisions.ndjson", MaxSize: 64 << 20, MaxFiles: 5, MaxAge: 168 * time.Hour, OTLP: true,
					WhenFull: config.DenyWhenFull, BlockTimeout: 20 * time.Millisecond, QueueBytes: 1 << 20, QueueRecords: 1000,
					Keep: config.Keep{Input: config.KeepAll, Headers: []string{"x-tenant"}, Cookies: []string{"lang"}, Query: []string{"page"}, Claims: []string{"*"}, Body: []string{"amount"}},
				}
				c.Log = config.Log{Format: config.JSONLog, Level: "warn"}
				c.Telemetry = config.Telemetry{ClientTrace: "parent"}
			},
		},
		{
			name: "a rule's path as opa-envoy-plugin takes it, and no bodies",
			file: "policy: {path: /mesh/authz/allow/, skipRequestBodyParse: true}\n",
			want: func(c *config.Config) { c.Policy.Path, c.Policy.SkipRequestBodyParse = "/mesh/authz/allow/", true },
		},
		{
			name: "addresses without TLS that only this machine reaches",
			file: "listen: {grpc: 'localhost:0', admin: '[::1]:0'}",
			want: func(c *config.Config) {
				c.Listen.GRPC = config.Address{Network: "tcp", Address: "localhost:0"}
				c.Listen.Admin = config.Address{Network: "tcp", Address: "[::1]:0"}
			},
		},
		{
			name: "empty lists that mean none",
			file: "jwt: {rules: []}\npolicy: {files: [], outputHeaders: []}",
			want: func(c *config.Config) {},
		},
		{
			name: "two rules with one place and different issuers",
			file: `
jwt:
  rules:
    - {name: a, issuer: "https://a.example.com", audiences: [x]}
    - {name: b, issuer: "https://b.example.com", audiences: [x]}
`,
			want: func(c *config.Config) {
				c.JWT.Rules = []config.Rule{
					{Name: "a", Issuer: "https://a.example.com", Audiences: []string{"x"}, FromHeaders: usual, Timeout: 5 * time.Second},
					{Name: "b", Issuer: "https://b.example.com", Audiences: []string{"x"}, FromHeaders: usual, Timeout: 5 * time.Second},
				}
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := config.Parse("sallyport.yaml", []byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			want := config.Default()
			test.want(&want)
			if diff := cmp.Diff(&want, got, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLoadPaths shows that relative paths belong to the file, wherever the server was started.
func TestLoadPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt", "keys.json"} {
		write(t, filepath.Join(dir, name), "")
	}
	absolute := filepath.Join(t.TempDir(), "more.rego")
	write(t, absolute, "")
	file := filepath.Join(dir, "sallyport.yaml")
	write(t, file, `
listen:
  grpc: 0.0.0.0:9191
  tls: {certFile: tls.crt, keyFile: ./tls.key, clientCAFile: ca.crt, allowedClients: ["spiffe://cluster.local/ns/a/sa/b", envoy.example.com]}
jwt:
  rules: [{name: users, issuer: x, audiences: [y], jwksFile: keys.json}]
policy: {files: [., `+absolute+`]}
decisionLog: {file: decisions.ndjson}
`)
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"tls": *cfg.Listen.TLS, "jwks": cfg.JWT.Rules[0].JWKSFile, "policy": cfg.Policy.Files, "log": cfg.DecisionLog.File,
	}
	want := map[string]any{
		"tls": config.TLS{
			CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), ClientCAFile: filepath.Join(dir, "ca.crt"),
			AllowedClients: []string{"spiffe://cluster.local/ns/a/sa/b", "envoy.example.com"},
		},
		"jwks":   filepath.Join(dir, "keys.json"),
		"policy": []string{dir, absolute},
		"log":    filepath.Join(dir, "decisions.ndjson"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadUnreadable(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "absent.yaml"), t.TempDir()} {
		_, err := config.Load(path)
		if _, ok := errors.AsType[*os.PathError](err); !ok {
			t.Errorf("Load(%s) = %v, want an os.PathError", path, err)
		}
	}
}

func TestAt(t *testing.T) {
	cfg, err := config.Parse("sallyport.yaml", []byte("policy:\n  data:\n    routes: [{}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		cfg        *config.Config
		want       string
	}{
		{"in the file", "policy.data.routes[0]", cfg, "sallyport.yaml:3:14: policy.data.routes[0]: no path"},
		{"not in it", "policy.data.tenants[3].name", cfg, "sallyport.yaml:3:5: policy.data.tenants[3].name: no path"},
		{"in no section of it", "jwt.rules", cfg, "sallyport.yaml:1:1: jwt.rules: no path"},
		{"without a file", "jwt.rules", &config.Config{}, "jwt.rules: no path"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.cfg.At(test.path, errors.New("no path")).Error(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAddressString(t *testing.T) {
	for _, text := range []string{"unix:///run/a.sock", "127.0.0.1:9191", "[::1]:0", ":1", ""} {
		var a config.Address
		if err := a.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if a.String() != text {
			t.Errorf("got %q, want %q", a.String(), text)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
