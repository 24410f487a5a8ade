package envoy.authz

allow := {"allowed": count(deny) == 0, "reason": concat(", ", deny)}

deny contains "not from the office" if input.attributes.request.http.headers["x-office"] == "no" # want: deny-undefined

deny contains "no token" if input.tokens.users.status != "valid"

deny contains "guests" if "guest" in roles # want: deny-undefined

roles := input.tokens.users.claims.roles
