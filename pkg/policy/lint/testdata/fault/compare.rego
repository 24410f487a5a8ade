package envoy.authz

import input.attributes.request.http

default allow := false

allow if input.parsed_body.amount <= 1000 # want: untyped-comparison

allow if http.headers["x-level"] >= 3 # want: untyped-comparison

allow if {
	input.tokens.users.status == "valid"
	every role in input.tokens.users.claims.roles { # want: empty-every
		role in data.roles
	}
}
