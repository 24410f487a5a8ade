package envoy.authz

import input.attributes.request.http

default allow := false

allow if startswith(http.path, "/public") # want: path-prefix

allow if endswith(http.path, ".css") # want: path-prefix

allow if contains(http.path, "/assets/") # want: path-prefix

allow if regex.match("/public/.*", http.path) # want: path-prefix

allow if regex.match(`^/items/\d+`, http.path) # want: path-prefix

allow if glob.match("/items/*", [], http.path) # want: path-prefix

allow if not startswith(http.path, "/admin") # want: raw-path

allow if {
	input.tokens.users.status == "valid"
	not forbidden
}

forbidden if http.path == "/internal" # want: raw-path

forbidden if http.host == "admin.example.com" # want: case-sensitive-host
