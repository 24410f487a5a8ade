package envoy.authz

import input.attributes.request.http

default allow := false

allow if not input.parsed_body.admin # want: negated-undefined

allow if not input.tokens.users.claims.banned # want: negated-undefined

allow if not startswith(input.parsed_body.name, "root") # want: negated-undefined

allow if {
	claims := input.tokens.users.claims
	claims.sub != ""
	not claims.suspended # want: negated-undefined
}

allow if not "guest" in input.tokens.users.claims.roles # want: negated-undefined

allow if {
	input.tokens.users.status == "valid"
	not input.tokens.users.claims.sub in data.revoked # want: negated-undefined
}

allow if not to_number(input.parsed_path[0]) == 1 # want: negated-undefined

allow if {
	http.method == "GET"
	not payload.disabled # want: negated-undefined
}

payload := claims if [_, claims, _] := io.jwt.decode_verify(http.headers.authorization, {"secret": data.secret})
