package envoy.authz

import input.attributes.request.http as http_request

default allow = {"allowed": false}

allow = response {
	count(deny) == 0
	response := {"allowed": true, "headers": {"x-checked": "yes"}}
}

deny["the header is bad"] {
	http_request.headers["x-mode"] == "debug" # want: deny-undefined
}

deny[msg] {
	not input.tokens.users.claims.sub
	msg := "no subject"
}

deny[msg] {
	input.tokens.users.claims.sub == "nobody"
	msg := "nobody"
}
