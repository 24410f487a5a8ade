package config

import "time"

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Listen: Listen{
			GRPC:  Address{Network: "tcp", Address: "127.0.0.1:9191"},
			Admin: Address{Network: "tcp", Address: "127.0.0.1:9192"},
		},
		Request: Request{
			AmbiguousPaths: DenyAmbiguousPaths,
			MaxBodyBytes:   1 << 20,
			Timeout:        5 * time.Second,
		},
		JWT:         JWT{Leeway: 30 * time.Second},
		Policy:      Policy{Path: "envoy/authz/allow"},
		DecisionLog: DecisionLog{Stdout: true},
	}
}

// fillRules gives a rule that names no place for its token the usual one. As in Istio, naming any
// place replaces it; unlike there, a query parameter is never a default (RFC 9700, section 4.3.2).
// It comes before the check, which compares the places.
func (c *Config) fillRules() {
	for i := range c.JWT.Rules {
		rule := &c.JWT.Rules[i]
		if rule.FromHeaders == nil && rule.FromCookies == nil && rule.FromParams == nil {
			rule.FromHeaders = []HeaderSource{{Name: "Authorization", Prefix: "Bearer "}}
		}
	}
}
