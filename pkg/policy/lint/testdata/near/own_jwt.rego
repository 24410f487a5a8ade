package envoy.authz

import input.attributes.request.http

default allow := false

allow if {
	http.method == "GET"
	claims.role in {"clerk", "admin"}
}

claims := payload if {
	io.jwt.verify_rs256(bearer, data.keys)
	[_, payload, _] := io.jwt.decode(bearer)
}

bearer := encoded if {
	startswith(http.headers.authorization, "Bearer ")
	encoded := substring(http.headers.authorization, count("Bearer "), -1)
}
