package envoy.authz

allow := false if {
	input.attributes.request.http.method == "TRACE"
} else := true # want: default-allow
