package envoy.authz

# What goes with a denial is about the caller, and decides nothing.
allow := {"allowed": true, "reason": "known"} if {
	input.tokens.users.status == "valid"
} else := object.union({"allowed": false, "reason": "unknown"}, remedy)

default remedy := {}

remedy := {"scopes": ["orders"]} if not input.tokens.users.claims.scope
