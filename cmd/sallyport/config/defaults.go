package config

import "time"

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Listen: Listen{
			GRPC:  Address{Network: "tcp", Address: "127.0.0.1:9191"},
			Admin: Address{Network: "tcp", Address: "127.0.0.1:9192"},

			Socket: Socket{Mode: "0660"},
			Drain:  Drain{Delay: 6 * time.Second, Timeout: 10 * time.Second},
		},
		Limits: Limits{
			Checks: 4096, Wait: 10 * time.Millisecond,
			Connections: 8192, Streams: 1024, HeaderBytes: 64 << 10, ConnectionAge: 30 * time.Minute,
		},
		Request: Request{
			AmbiguousPaths: DenyAmbiguousPaths,
			MaxBodyBytes:   1 << 20,
			Timeout:        5 * time.Second,
		},
		JWT:    JWT{Leeway: 30 * time.Second, Cache: Cache{MaxBytes: 32 << 20}},
		Policy: Policy{Path: "envoy/authz/allow", MaxSteps: 1_000_000, Memo: Memo{MaxBytes: 32 << 20}},
		DecisionLog: DecisionLog{
			Stdout: true, WhenFull: DropWhenFull, BlockTimeout: 100 * time.Millisecond, QueueBytes: 16 << 20, QueueRecords: 65_536,
			Keep: Keep{Input: KeepRead, Claims: []string{
				"aud", "exp", "iat", "nbf", "jti", "azp", "client_id", "scope", "scp", "roles", "groups", "acr", "amr", "iss", "sub",
			}},
		},
		Log:       Log{Format: TextLog, Level: "info"},
		Telemetry: Telemetry{ClientTrace: "link"},
	}
}

// The defaults of a rule.
const (
	soleRule     = "default" // the name of a rule that is alone
	fetchTimeout = 5 * time.Second
)

// fillRules gives rules their defaults, before the check compares names and places.
//
// A rule that names no place for its token has the usual one. As in Istio, naming any place replaces
// it; unlike there, a query parameter is never a default (RFC 9700, section 4.3.2). A rule pasted from
// Istio has no name, and needs none while it is alone: beside another, its place in the list would
// decide what policy sees.
func (c *Config) fillRules() {
	for i := range c.JWT.Rules {
		rule := &c.JWT.Rules[i]
		if rule.FromHeaders == nil && rule.FromCookies == nil && rule.FromParams == nil {
			rule.FromHeaders = []HeaderSource{{Name: "Authorization", Prefix: "Bearer "}}
		}
		if len(c.JWT.Rules) == 1 && rule.Name == "" {
			rule.Name = soleRule
		}
		if !c.source.has(index("jwt.rules", i) + ".timeout") {
			rule.Timeout = fetchTimeout
		}
	}
}
