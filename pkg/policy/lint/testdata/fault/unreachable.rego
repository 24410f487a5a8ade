package envoy.authz

default allow := false

allow if input.tokens.users.status == "valid"

alow if input.tokens.users.claims.admin == true # want: unreachable-rule

helper(x) := x + 1 # want: unreachable-rule

allow if {
	input.attributes.request.http.method == "GET"
	input.attributes.request.http.method == "HEAD" # want: unreachable-rule
}

allow if false # want: unreachable-rule
