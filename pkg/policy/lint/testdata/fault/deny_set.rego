package envoy.authz

default allow := false

allow if {
	input.tokens.users.status == "valid"
	count(violations) == 0
	count({r | some r in input.tokens.users.claims.groups; r == "guests"}) == 0 # want: deny-undefined
	banned == false
	not is_forbidden(input.parsed_body)
}

violations contains "too large" if {
	size := input.parsed_body.size # want: deny-undefined
	size in data.sizes
}

default banned := false

banned if input.tokens.users.claims.banned == true # want: deny-undefined

is_forbidden(body) if body.kind == "internal" # want: deny-undefined
