package envoy.authz

allow := {"allowed": allowed, "reason": "because"}

default allowed := true # want: default-allow

allowed := false if input.attributes.request.http.method == "TRACE"
