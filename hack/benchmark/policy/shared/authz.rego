# The policy of the benchmark: public paths, grants by role, and a rule about a JSON body. Both
# servers run this file. Who the caller is comes from data.bench.caller, of which each has its own.
package envoy.authz

import data.bench.caller

default allow := false

allow if {
	http.method == "GET"
	input.parsed_path[0] == "public"
}

allow if {
	some role in caller.claims.roles
	some grant in data.grants[role]
	http.method in grant.methods
	glob.match(grant.path, ["/"], http.path)
}

allow if {
	http.method == "POST"
	input.parsed_path == ["payments"]
	"payer" in caller.claims.roles
	input.parsed_body.amount <= data.limits.amount
	input.parsed_body.currency in data.limits.currencies
	count(input.parsed_body.lines) <= 100
}

http := input.attributes.request.http
