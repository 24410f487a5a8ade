package envoy.authz_test

import data.envoy.authz

request := {
	"attributes": {"request": {"http": {"method": "GET"}}},
	"parsed_path": ["public"],
	"path_ambiguous": false,
	"tokens": {"users": {"status": "missing"}},
}

connection := {"attributes": {"source": {}}, "source": {"principal": "spiffe://cluster.local/ns/db/sa/a"}}

public := [{"path": "/public", "public": true}]

named := {"rule": "routes[0]", "route": "/public"}

test_a_route_admits if {
	authz.allow == {"allowed": true, "reason": "routes[0] /public", "dynamic_metadata": named} with input as request with data.routes as public
}

test_no_route_denies if {
	authz.allow == {"allowed": false, "reason": "no route has the path", "dynamic_metadata": {}} with input as request with data.routes as []
}

test_without_data_denies if {
	authz.allow == {"allowed": false, "reason": "no route has the path", "dynamic_metadata": {}} with input as request
}

test_an_ambiguous_path_denies if {
	answer := authz.allow with data.routes as public with input as object.union(request, {"path_ambiguous": true})
	answer == {"allowed": false, "reason": "the path is ambiguous", "dynamic_metadata": {}}
}

test_nobody_said_whether_the_path_is_ambiguous if {
	not authz.allow.allowed with data.routes as public with input as object.remove(request, ["path_ambiguous"])
}

reader := object.union(request, {"tokens": {"users": {"status": "valid", "claims": {"scope": "orders:read"}}}})

test_missing_scopes_are_named if {
	rules := [{"path": "/public", "scopes": ["orders:read", "orders:write", "orders:delete"]}]
	authz.allow.scopes == {"orders:write", "orders:delete"} with input as reader with data.routes as rules
}

test_scopes_that_would_not_suffice_are_not_named if {
	rules := [{"path": "/public", "scopes": ["orders:write"], "roles": ["admin"]}]
	not authz.allow.scopes with input as reader with data.routes as rules
}

steady := object.union(request, {"tokens": {"users": {"status": "valid", "claims": {"acr": "phr", "auth_time": 1}}}})

test_another_authentication_is_asked_for if {
	rules := [{"path": "/public", "tokens": ["users"], "acr": ["phr", "phrh"], "max_age": "15m"}]
	answer := authz.allow with input as steady with data.routes as rules
	object.remove(answer, ["reason", "dynamic_metadata"]) == {"allowed": false, "acr_values": ["phr", "phrh"], "max_age": 900}
	answer.reason == "routes[0] /public: lacks max_age 900"
	answer.dynamic_metadata == named
}

test_nothing_is_asked_for_where_it_would_not_suffice if {
	rules := [{"path": "/public", "tokens": ["users"], "roles": ["admin"], "max_age": "15m"}]
	answer := authz.allow with input as steady with data.routes as rules
	object.keys(answer) == {"allowed", "reason", "dynamic_metadata"}
}

test_nothing_is_asked_for_on_an_ambiguous_path if {
	rules := [{"path": "/public", "tokens": ["users"], "max_age": "15m"}]
	answer := authz.allow with input as object.union(steady, {"path_ambiguous": true}) with data.routes as rules
	object.keys(answer) == {"allowed", "reason", "dynamic_metadata"}
}

test_a_network_rule_admits if {
	rules := [{"principals": ["spiffe://cluster.local/ns/db/**"]}]
	authz.allow == {"allowed": true, "reason": "network[0]", "dynamic_metadata": {"rule": "network[0]"}} with input as connection with data.network as rules
}

test_routes_do_not_admit_a_connection if {
	not authz.allow.allowed with input as connection with data.routes as [{"path": "/**", "public": true}]
}

test_network_rules_do_not_admit_a_request if {
	rules := [{"principals": ["**"]}]
	from := object.union(request, {"source": {"principal": "spiffe://cluster.local/ns/db/sa/a"}})
	not authz.allow.allowed with input as from with data.network as rules
}

test_without_input_denies if not authz.allow.allowed with input as {}
