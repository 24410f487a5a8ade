package envoy.authz

import input.attributes.request.http

default allow := false

# Presence is asked for in the same rule.
allow if {
	input.parsed_body.draft == false
	not input.parsed_body.draft
}

allow if {
	claims := input.tokens.users.claims
	is_boolean(claims.suspended)
	not claims.suspended
}

# An HTTP check always has them.
allow if {
	input.tokens.users.status == "valid"
	not input.path_ambiguous
	not input.truncated_body
	not startswith(input.parsed_path[0], "internal")
	not input.tokens.users.status == "missing"
	not "admin" in input.parsed_path
}

# A valid token has an issuer and an expiry.
allow if {
	input.tokens.users.status == "valid"
	not input.tokens.users.claims.iss in data.issuers.distrusted
	http.method == "GET"
}

# In a rule that denies, absence denies.
allow if {
	input.tokens.workload.status == "valid"
	not deny
}

deny if not input.tokens.workload.claims.sub

deny if not input.parsed_body.amount

deny if {
	is_number(input.parsed_body.amount)
	input.parsed_body.amount > 1000
}

deny if not startswith(input.tokens.workload.claims.sub, "spiffe://example.com/")

# The data is the operator's: who is not in the list is not banned.
allow if {
	sub := input.tokens.users.claims.sub
	not data.banned[sub]
	not sub in data.revoked
	user := data.users[sub]
	not user.disabled
}

# What a helper of the same rule asks for is there.
allow if {
	employee
	not blocked
}

employee if {
	input.tokens.users.claims.country
	input.tokens.users.claims.staff == true
}

blocked if input.tokens.users.claims.country in data.blocked

# More scopes demanded than there are is a denial.
allow if {
	missing := {scope | some scope in data.required; not scope in input.tokens.users.claims.scopes}
	count(missing) == 0
}

allow if count({"read", "write"} - {scope | some scope in split(input.tokens.users.claims.scope, " ")}) == 0
