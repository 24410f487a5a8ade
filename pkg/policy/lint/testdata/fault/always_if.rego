package envoy.authz

allow if 1 == 1 # want: default-allow
