package istio.authz

import input.attributes.request.http
import input.parsed_path

# METADATA
# entrypoint: true
default allow := false

allow if {
	parsed_path[0] == "health"
	http.method == "GET"
}

allow if {
	some granted in roles_for_user
	required_roles[granted]
}

roles_for_user contains role if some role in data.user_roles[user_name]

required_roles contains role if {
	some role, permissions in data.role_permissions
	some permission in permissions
	permission.method == http.method
	permission.path == parsed_path[0]
}

user_name := input.tokens.users.claims.sub

