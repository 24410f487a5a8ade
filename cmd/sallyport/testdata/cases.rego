# Each path has an answer of its own.
package envoy.authz

default allow := false

allow := {
	"allowed": true,
	"headers": {"x-policy": "decided", "x-list": ["a", "b"], "x-none": []},
	"request_headers_to_remove": ["x-internal"],
} if {
	input.parsed_path == ["headers"]
}

allow := {"allowed": true, "headers": {"x-user": "the policy's"}} if input.parsed_path == ["override"]

allow := {
	"allowed": true,
	"response_headers_to_add": {"set-cookie": ["a=1; Path=/", "b=2"], "x-frame-options": "DENY", "x-policy": "decided"},
} if {
	input.parsed_path == ["response"]
}

allow := {"allowed": true, "response_headers_to_add": {"set-cookie": "a=1"}} if input.parsed_path == ["cookie"]

allow := {
	"allowed": true,
	"query_parameters_to_set": {"who": "a&b=c d", "grüße": "ü", "role": "reader"},
	"query_parameters_to_remove": ["debug", "a b"],
} if {
	input.parsed_path == ["query"]
}

allow := {
	"allowed": false,
	"http_status": 418,
	"body": "{\"error\":\"short and stout\"}",
	"headers": {"content-type": "application/json", "x-why": ["tea", "pot"], "set-cookie": ["a=1", "b=2"]},
} if {
	input.parsed_path == ["teapot"]
}

allow := {"allowed": false, "http_status": 302, "headers": {"location": "https://login.example.com/?next=%2Fa"}} if {
	input.parsed_path == ["login"]
}

allow := {"allowed": false, "http_status": 401, "headers": {"www-authenticate": "Basic realm=\"policy\""}} if {
	input.parsed_path == ["basic"]
}

allow := {"allowed": false, "http_status": 200} if input.parsed_path == ["success"]

allow := {"allowed": true, "surprise": 1} if input.parsed_path == ["unknown-key"]

allow := to_number(input.attributes.request.http.headers["x-number"]) > 1 if input.parsed_path == ["builtin-error"]

allow := true if input.parsed_path == ["logged"]

# What policy sees of a request, sent upstream for the test to read.
allow := {"allowed": true, "headers": {"x-saw": json.marshal(saw)}} if input.parsed_path == ["saw"]

saw := {
	"extensions": input.attributes.contextExtensions,
	"address": input.source.address,
	"body": object.get(input.attributes.request.http, "body", ""),
	"raw_body": object.get(input.attributes.request.http, "rawBody", ""),
	"parsed_body": input.parsed_body,
} if {
	not input.truncated_body
} else := {"truncated_body": true, "parsed_body": input.parsed_body} # too long for a header
