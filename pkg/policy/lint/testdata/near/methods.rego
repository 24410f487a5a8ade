package envoy.authz

import input.attributes.request.http

default allow := false

allow if {
	http.host == "shop.example.com"
	input.tokens.users.status == "valid"
	not read_only
}

read_only if {
	http.method != "GET"
	not "write" in input.tokens.users.claims.scopes
}

allow if {
	input.source.principal == "spiffe://example.com/gateway"
	net.cidr_contains("10.0.0.0/8", input.attributes.source.address.socketAddress.address)
	lower(http.host) != "admin.example.com"
	http.headers["x-forwarded-proto"] == "https"
	http.headers["content-type"] == "application/json"
}

allow if {
	is_number(input.parsed_body.amount)
	input.parsed_body.amount <= 1000
	to_number(http.headers["x-level"]) >= 3
	input.tokens.users.claims.level >= 3
	http.headers["x-date"] > "2026-01-01"
}

allow if {
	count(input.tokens.users.claims.roles) > 0
	every role in input.tokens.users.claims.roles {
		role in data.roles
	}
	every segment in input.parsed_path {
		segment != "secret"
	}
}
