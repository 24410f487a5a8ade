# METADATA
# description: the decision is made of several rules
package envoy.authz

allow["allowed"] := allowed

allow["headers"] := {"x-checked": "yes"}

default allowed := false

allowed if {
	input.tokens.users.status == "valid"
	not any_denied
}

any_denied if some _ in deny

deny contains "internal" if input.parsed_body.kind == "internal" # want: deny-undefined
