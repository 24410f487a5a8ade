package envoy.authz

allow := response if {
	response := {"allowed": allowed, "headers": {"x-checked": "yes"}}
}

default allowed := false

allowed if not input.parsed_body.admin # want: negated-undefined

allowed if {
	input.tokens.users.status == "valid"
	denied != true
}

default denied := false

denied if {
	some header, value in input.attributes.request.http.headers
	header == "x-mode"
	value == input.parsed_body.mode # want: deny-undefined
}
