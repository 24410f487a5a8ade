# The usual way: the policy verifies the token, with the keys in data.
package bench.caller

claims := verified[2] if {
	[scheme, token] := split(input.attributes.request.http.headers.authorization, " ")
	lower(scheme) == "bearer"
	verified := io.jwt.decode_verify(token, {
		"cert": data.jwks,
		"iss": data.issuer,
		"aud": "orders",
	})
	verified[0]
}
