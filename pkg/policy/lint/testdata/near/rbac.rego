package envoy.authz

import input.attributes.request.http

default allow := false

allow if {
	input.tokens.users.status == "valid"
	some role in input.tokens.users.claims.roles
	some grant in data.roles[role].grants
	http.method in grant.methods
	covers(grant.path, input.parsed_path)
}

covers(path, segments) if path == segments

covers(path, segments) if {
	last := count(path) - 1
	path[last] == "**"
	array.slice(path, 0, last) == array.slice(segments, 0, last)
}
