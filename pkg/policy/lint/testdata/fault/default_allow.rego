package envoy.authz

default allow := true # want: default-allow

allow := false if input.path_ambiguous
