package envoy.authz

default allow := false

allow if {
	input.parsed_path == ["grpc.health.v1.Health", "Check"]
	input.parsed_body.service == "public"
}
