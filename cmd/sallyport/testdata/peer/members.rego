# As in the primer and the tutorials for Envoy and Gloo: the token is verified here, and its role
# decides by method and path. An owner must not enter himself.
package envoy.authz

import future.keywords

import input.attributes.request.http as http_request

default allow := false

allow if {
	token_holds
	may
}

token_holds if {
	token.valid
	now := time.now_ns() / 1000000000
	token.claims.nbf <= now
	now < token.claims.exp
}

may if {
	http_request.method == "GET"
	token.claims.role in {"visitor", "owner"}
	glob.match("/members/*", ["/"], http_request.path)
}

may if {
	http_request.method == "POST"
	token.claims.role == "owner"
	glob.match("/members", ["/"], http_request.path)
	lower(input.parsed_body.name) != base64url.decode(token.claims.sub)
}

token := {"valid": valid, "claims": claims} if {
	[_, encoded] := split(http_request.headers.authorization, " ")
	[valid, _, claims] := io.jwt.decode_verify(encoded, {"secret": "a secret of this test"})
}
