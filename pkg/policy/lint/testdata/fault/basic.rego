package envoy.authz

import input.attributes.request.http

default allow := false

allow if {
	some role in data.roles[name] # want: client-controlled-identity
	role.path == input.parsed_path[0]
}

name := parsed if {
	[_, encoded] := split(http.headers.authorization, " ")
	[parsed, _] := split(base64url.decode(encoded), ":")
}
