package envoy.authz

import input.attributes.request.http as http_request

default allow = false

allow {
	user.role == "admin"
	not user_is_banned
}

user_is_banned {
	data.banned[input.tokens.users.claims.sub]
}

user = input.tokens.users.claims {
	input.tokens.users.status == "valid"
	input.tokens.users.claims.sub
}
