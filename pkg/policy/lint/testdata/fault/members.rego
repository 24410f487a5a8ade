package envoy.authz

default allow.allowed := true # want: default-allow

allow.reason := "because"
