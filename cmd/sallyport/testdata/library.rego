package envoy.authz

import data.sallyport.body
import data.sallyport.hours
import data.sallyport.pattern
import data.sallyport.roles
import data.sallyport.scopes
import data.sallyport.tokens

default allow := {"allowed": false}

allow := {"allowed": true} if {
	pattern.covers("/orders/*", input.parsed_path)
	scopes.all(claims, ["orders:read"])
	hours.within(input.attributes.request.time, data.always)
} else := {"allowed": false, "scopes": scopes.lacking(claims, ["orders:read"])} if {
	pattern.covers("/orders/*", input.parsed_path)
}

allow := {"allowed": true} if {
	pattern.covers("/refunds", input.parsed_path)
	roles.none(claims, ["suspended"])
	refund := body.json(input.attributes.request.http.headers["content-type"], input.parsed_body, input.truncated_body)
	body.only(refund, ["amount"])
	body.within(refund, {"amount": {"max": 1000}})
}

claims := tokens.claims(input.tokens, "users")
