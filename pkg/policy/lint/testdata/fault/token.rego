package envoy.authz

import input.attributes.request.http

default allow := false

allow if claims.role == "admin"

claims := payload if {
	[_, encoded] := split(http.headers.authorization, " ")
	[_, payload, _] := io.jwt.decode(encoded) # want: unverified-token
}

allow if {
	other := http.headers["x-token"]
	[header, _, _] := io.jwt.decode(other)
	[valid, _, payload] := io.jwt.decode_verify(other, {"alg": header.alg, "cert": data.cert}) # want: token-algorithm
	valid
	payload.role == "admin"
}

allow if http.headers["x-api-key"] == "hunter2" # want: raw-token-compare
