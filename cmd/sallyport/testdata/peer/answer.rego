# As in the primer: an object whose keys are rules, each of which may be undefined.
package envoy.authz

import rego.v1

import input.attributes.request.http

default allow := false

allow if {
	token_holds
	http.method == "GET"
	glob.match("/members/*", ["/"], http.path)
}

headers["x-checked"] := "yes"

headers["x-checked-by"] := "the gate"

request_headers_to_remove := ["x-first", "x-second"]

response_headers_to_add["x-server"] := "shop"

query_parameters_to_set := {"role": token.claims.role, "tags": ["main", "checked"]}

query_parameters_to_remove := ["debug"]

status_code := 200 if {
	allow
} else := 401 if {
	not token_holds
} else := 403

body := "who are you?" if status_code == 401

body := "not yours" if status_code == 403

dynamic_metadata := {"checked": true}

token_holds if token.valid

token := {"valid": valid, "claims": claims} if {
	[_, encoded] := split(http.headers.authorization, " ")
	[valid, _, claims] := io.jwt.decode_verify(encoded, {"secret": "a secret of this test"})
}

result["allowed"] := allow

result["headers"] := headers

result["response_headers_to_add"] := response_headers_to_add

result["request_headers_to_remove"] := request_headers_to_remove

result["body"] := body

result["http_status"] := status_code

result["dynamic_metadata"] := dynamic_metadata

result["query_parameters_to_set"] := query_parameters_to_set

result["query_parameters_to_remove"] := query_parameters_to_remove
