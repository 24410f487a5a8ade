# As in the tutorial for Istio, in Rego v0: users by basic authentication, a role each, and what a
# role may ask for. Health checks are for everybody.
package istio.authz

import input.attributes.request.http as http_request
import input.parsed_path

default allow = false

allow {
    parsed_path[0] == "healthz"
    http_request.method == "GET"
}

allow {
    role_of_user[role]
    role_that_may[role]
}

role_of_user[role] { role := roles[user][_] }

role_that_may[role] {
    grant := grants[role][_]
    grant.method = http_request.method
    grant.path = http_request.path
}

user = name {
    [_, encoded] := split(http_request.headers.authorization, " ")
    [name, _] := split(base64url.decode(encoded), ":")
}

roles = {
    "ann": ["reader"],
    "ben": ["editor"],
}

grants = {
    "reader": [{"method": "GET", "path": "/shelf"}],
    "editor": [
        {"method": "GET", "path": "/shelf"},
        {"method": "GET", "path": "/api/v1/shelves"},
    ],
}
