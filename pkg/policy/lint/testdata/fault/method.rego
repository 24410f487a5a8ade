package envoy.authz

import input.attributes.request.http

default allow := false

allow if http.method != "POST" # want: method-negation

allow if not http.method == "DELETE" # want: method-negation

allow if not http.method in {"POST", "PUT"} # want: method-negation
