package envoy.authz

import input.attributes.request.http

default allow := {"allowed": false, "http_status": 403, "body": "no"}

allow := {"allowed": true, "headers": {"x-user": input.tokens.users.claims.sub}} if {
	input.tokens.users.status == "valid"
	http.headers["x-user"] == input.tokens.users.claims.sub
	input.parsed_body.user == input.tokens.users.claims.sub
	startswith(http.path, "/public/")
	regex.match(`^/items/\d+$`, http.path)
	regex.match(`^/files/.*`, http.path)
	glob.match("/items/*", ["/"], http.path)
}

allow := {"allowed": false, "http_status": 401} if {
	input.tokens.users.status == "missing"
	not http.headers["x-trace"]
}
