package envoy.authz

import input.attributes.request.http

default allow := false

allow if http.headers["x-user"] == "admin" # want: client-controlled-identity

allow if data.admins[http.headers["x-forwarded-user"]] # want: client-controlled-identity

allow if {
	ip := http.headers["x-forwarded-for"]
	net.cidr_contains("10.0.0.0/8", ip) # want: client-controlled-identity
}

allow if user in data.users # want: client-controlled-identity

user := http.headers["x-auth-request-email"]

allow if input.parsed_query.role[0] == "admin" # want: client-controlled-identity

allow if input.parsed_body.is_admin == true # want: client-controlled-identity

allow if startswith(http.headers["x-forwarded-client-cert"], "By=spiffe://a/b") # want: client-controlled-identity

allow if http.host == "internal.example.com" # want: client-controlled-identity

allow if trusted(http.headers["x-client-cert"])

trusted(cert) if cert == data.cert # want: client-controlled-identity
