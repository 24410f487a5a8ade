package envoy.authz

allow if input.tokens.users.status == "valid"

allow := true # want: default-allow
