package envoy.authz

default allow := false

allow if {
	input.tokens.users.status == "valid"
	not deny
}

deny if input.parsed_body.amount == 1000 # want: deny-undefined

deny if {
	input.attributes.request.http.method == "POST"
	input.attributes.request.http.headers["x-origin"] == "outside" # want: deny-undefined
}

deny if blocked

default blocked := false

blocked if input.tokens.users.claims.country in data.blocked # want: deny-undefined
