# What the bundles have in the tests of faults: the same rules as in fault.yaml.
package envoy.authz

default allow := false

allow if input.parsed_path[0] == "public"

allow if {
	input.parsed_path[0] == "orders"
	input.tokens.users.status == "valid"
	"clerk" in input.tokens.users.claims.roles
}

allow if {
	input.parsed_path[0] == "partners"
	input.tokens.partners.status == "valid"
}
