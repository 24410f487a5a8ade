package envoy.authz

default allow = false

allow {
	input.tokens.users.status == "valid"
	not deny
}

deny {
	input.parsed_body.amount == 1000 # want: deny-undefined
}

allow = true { not input.parsed_body.admin } # want: negated-undefined
