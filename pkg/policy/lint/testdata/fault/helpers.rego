package envoy.authz

default allow := false

allow if is_trusted(input.tokens.users.claims)

is_trusted(claims) if not claims.banned # want: negated-undefined

allow if {
	input.tokens.users.status == "valid"
	safe
}

safe if all_safe

all_safe if {
	every item in input.parsed_body.items { # want: empty-every
		not item.dangerous # want: negated-undefined
	}
}

allow if {
	input.tokens.users.status == "valid"
	claims := input.tokens.users.claims
	not claims.level < 3 # want: negated-undefined
	object.get(claims, "banned", false) != true
	not object.get(input.tokens.users.claims, ["realm", "banned"], false)
}
