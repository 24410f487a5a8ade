package envoy.authz

default allow := false

allow if {
	input.tokens.users.status == "valid"
	not deny
	violations == set()
}

# It is true where nothing speaks against it, so that absence denies.
default deny := true

deny := false if input.tokens.users.claims.department == "sales"

violations contains "no tenant" if not input.tokens.users.claims.tenant

violations contains "wrong tenant" if input.tokens.users.claims.tenant != "acme"

violations contains "not a json body" if {
	input.attributes.request.http.method == "POST"
	not input.parsed_body.kind
}

violations contains "internal" if {
	input.attributes.request.http.method == "POST"
	input.parsed_body.kind == "internal"
}
