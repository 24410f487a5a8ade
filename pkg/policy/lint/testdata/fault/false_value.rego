package envoy.authz

allow := false if {
	input.parsed_body.kind == "internal" # want: deny-undefined
} else := true if {
	input.tokens.users.status == "valid"
}
