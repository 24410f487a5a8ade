package sallyport.routes_test

import data.sallyport.routes

ann := {"status": "valid", "issuer": "https://login.example.com", "header": {"alg": "RS256"}, "claims": {
	"sub": "ann",
	"scope": "orders:read orders:write",
	"roles": ["clerk"],
	"realm_access": {"roles": ["auditor"]},
	"tenant": "acme",
	"groups": ["blue", "green"],
	"number": 42,
	"verified": true,
	"acr": "phr",
	"auth_time": 1700000000,
}}

missing := {"status": "missing"}

request := {
	"attributes": {"request": {"http": {"method": "POST"}, "time": {"seconds": 1700000900}}},
	"parsed_path": ["orders", "ann"],
	"parsed_body": {"amount": 100, "currency": "EUR", "nothing": null},
	"truncated_body": false,
	"source": {"principal": "spiffe://cluster.local/ns/shop/sa/frontend"},
	"tokens": {"users": ann},
}

two_slots := object.union(request, {"tokens": {"workload": missing}})

# A rule of each condition, for the request's path.
rule(conditions) := object.union({"path": "/orders/**"}, conditions)

admits(rules, from) if {
	count(routes.admitting) > 0 with data.routes as rules with input as from
}

reason(rules, from) := text if {
	text := routes.reason with data.routes as rules with input as from
}

test_admits[note] if {
	some note, conditions in {
		"public": {"public": true},
		"method": {"public": true, "methods": ["GET", "POST"]},
		"token": {"tokens": ["users"]},
		"scope": {"scopes": ["orders:write"]},
		"all scopes": {"scopes": ["orders:write", "orders:read"]},
		"role": {"roles": ["clerk"]},
		"one of the roles": {"roles": ["admin", "clerk"]},
		"role of Keycloak": {"roles": ["auditor"]},
		"claim": {"claims": {"tenant": "acme"}},
		"claim, one of a list": {"claims": {"tenant": ["umbrella", "acme"]}},
		"claim that is a list": {"claims": {"groups": "green"}},
		"claim that is no string": {"claims": {"verified": true, "number": 42}},
		"principal": {"principals": ["spiffe://cluster.local/ns/*/sa/frontend"]},
		"claim in the path": {"path": "/orders/{sub}"},
		"body": {"tokens": ["users"], "body": {"amount": {"min": 100, "max": 100}, "currency": {"in": ["EUR"]}}},
		"acr": {"tokens": ["users"], "acr": "phr"},
		"one of the acrs": {"tokens": ["users"], "acr": ["phrh", "phr"]},
		"max_age": {"tokens": ["users"], "max_age": "15m"},
		"max_age in seconds": {"tokens": ["users"], "max_age": 900},
		"max_age of the only slot": {"roles": ["clerk"], "max_age": 900},
		"everything": {
			"path": "/*/{sub}/**",
			"methods": ["POST"],
			"tokens": ["users"],
			"scopes": ["orders:read"],
			"roles": ["clerk"],
			"claims": {"tenant": "acme"},
			"principals": ["spiffe://cluster.local/**"],
			"body": {"amount": {"max": 1000}},
			"acr": ["phr"],
			"max_age": "1h",
		},
	}
	admits([rule(conditions)], request)
}

test_lacks[note] if {
	some note, case in {
		"scope": {"rule": {"scopes": ["orders:read", "admin", "root"]}, "want": "scope admin and root"},
		"role": {"rule": {"roles": ["admin", "root"]}, "want": "role admin or root"},
		"claim": {"rule": {"claims": {"tenant": "umbrella"}}, "want": "claim tenant"},
		"claim that is not there": {"rule": {"claims": {"plan": "gold"}}, "want": "claim plan"},
		"claim of another type": {"rule": {"claims": {"number": "42"}}, "want": "claim number"},
		"token": {"rule": {"tokens": ["users", "workload", "device"]}, "want": "token workload and device"},
		"principal": {"rule": {"principals": ["spiffe://a", "spiffe://b"]}, "want": "principal spiffe://a or spiffe://b"},
		"claim in the path": {"rule": {"path": "/orders/{tenant}"}, "want": "claim tenant of the path"},
		"claim that no path can hold": {"rule": {"path": "/orders/{groups}"}, "want": "claim groups of the path"},
		"too much": {"rule": {"tokens": ["users"], "body": {"amount": {"max": 99}}}, "want": "body amount"},
		"too little": {"rule": {"tokens": ["users"], "body": {"amount": {"min": 101}}}, "want": "body amount"},
		"not in": {"rule": {"tokens": ["users"], "body": {"currency": {"in": ["CHF"]}}}, "want": "body currency"},
		"null is not little": {"rule": {"tokens": ["users"], "body": {"nothing": {"max": 1}}}, "want": "body nothing"},
		"text is not much": {"rule": {"tokens": ["users"], "body": {"currency": {"min": 1}}}, "want": "body currency"},
		"no field": {"rule": {"tokens": ["users"], "body": {"price": {"max": 1}}}, "want": "body price"},
		"acr": {"rule": {"tokens": ["users"], "acr": ["gold", "silver"]}, "want": "acr gold or silver"},
		"age": {"rule": {"tokens": ["users"], "max_age": "14m59s"}, "want": "max_age 899"},
		"acr and age": {"rule": {"tokens": ["users"], "acr": "gold", "max_age": 1}, "want": "acr gold, max_age 1"},
		"two things": {"rule": {"roles": ["admin"], "scopes": ["root"]}, "want": "role admin, scope root"},
	}
	not admits([rule(case.rule)], request)
	path := rule(case.rule).path
	reason([rule(case.rule)], request) == sprintf("routes[0] %s: lacks %s", [path, case.want])
}

test_without_a_token[note] if {
	some note, case in {
		"token": {"rule": {"tokens": ["users"]}, "want": "token users"},
		"scope": {"rule": {"scopes": ["orders:read"]}, "want": "scope orders:read"},
		"role": {"rule": {"roles": ["clerk"]}, "want": "role clerk"},
		"claim": {"rule": {"claims": {"tenant": "acme"}}, "want": "claim tenant"},
		"path": {"rule": {"path": "/orders/{sub}"}, "want": "claim sub of the path"},
		"acr": {"rule": {"tokens": ["users"], "acr": "phr"}, "want": "acr phr, token users"},
		"max_age": {"rule": {"tokens": ["users"], "max_age": 900}, "want": "max_age 900, token users"},
	}
	anonymous := object.union(object.remove(request, ["tokens"]), {"tokens": {"users": missing}})
	not admits([rule(case.rule)], anonymous)
	endswith(reason([rule(case.rule)], anonymous), sprintf(": lacks %s", [case.want]))
}

test_mistakes[note] if {
	some note, case in {
		"no object": {"rule": "/public", "want": "it is not an object"},
		"unknown key": {"rule": rule({"roles": ["clerk"], "role": ["x"]}), "want": "unknown key role"},
		"only an unknown key": {"rule": rule({"role": ["clerk"]}), "want": "unknown key role"},
		"nobody": {"rule": rule({}), "want": "it does not say who"},
		"nobody but a method": {"rule": rule({"methods": ["POST"]}), "want": "it does not say who"},
		"nobody but a body": {"rule": rule({"body": {"amount": {"max": 100}}}), "want": "it does not say who"},
		"not public": {"rule": rule({"public": false}), "want": "public is not true"},
		"public as text": {"rule": rule({"public": "true"}), "want": "public is not true"},
		"public with a role": {"rule": rule({"public": true, "roles": ["clerk"]}), "want": "public stands beside roles"},
		"public with a claim": {
			"rule": {"path": "/orders/{sub}", "public": true},
			"want": "public stands beside a claim in the path",
		},
		"no path": {"rule": {"public": true}, "want": "path is not a pattern that starts with /"},
		"path without a slash": {"rule": {"path": "orders/**", "public": true}, "want": "path is not a pattern"},
		"path as a list": {"rule": {"path": ["/orders/**"], "public": true}, "want": "path is not a pattern"},
		"path with half a wildcard": {"rule": {"path": "/order*/**", "public": true}, "want": "path is not a pattern"},
		"tokens as text": {"rule": rule({"tokens": "users"}), "want": "tokens is not a list of strings"},
		"tokens as text, of a role": {"rule": rule({"tokens": "users", "roles": ["clerk"]}), "want": "tokens does not say whose claims"},
		"no tokens": {"rule": rule({"tokens": []}), "want": "tokens is not a list of strings"},
		"scopes as text": {"rule": rule({"scopes": "orders:read"}), "want": "scopes is not a list of strings"},
		"no scopes": {"rule": rule({"scopes": []}), "want": "scopes is not a list of strings"},
		"scopes of numbers": {"rule": rule({"scopes": [1]}), "want": "scopes is not a list of strings"},
		"no roles": {"rule": rule({"roles": null}), "want": "roles is not a list of strings"},
		"an empty role": {"rule": rule({"roles": ["clerk", ""]}), "want": "roles is not a list of strings"},
		"no principals": {"rule": rule({"principals": []}), "want": "principals is not a list of strings"},
		"half a principal": {"rule": rule({"principals": ["spiffe*"]}), "want": "principals has a pattern"},
		"no methods": {"rule": rule({"public": true, "methods": []}), "want": "methods is not a list of strings"},
		"methods as text": {"rule": rule({"public": true, "methods": "POST"}), "want": "methods is not a list of strings"},
		"no claims": {"rule": rule({"claims": {}}), "want": "claims is not an object with members"},
		"claims as a list": {"rule": rule({"claims": ["tenant"]}), "want": "claims is not an object with members"},
		"acr as a number": {"rule": rule({"tokens": ["users"], "acr": 1}), "want": "acr is not a word or a list of words"},
		"no acr": {"rule": rule({"tokens": ["users"], "acr": []}), "want": "acr is not a word or a list of words"},
		"acr of two words": {"rule": rule({"tokens": ["users"], "acr": ["a b"]}), "want": "acr is not a word or a list of words"},
		"acr of null": {"rule": rule({"tokens": ["users"], "acr": null}), "want": "acr is not a word or a list of words"},
		"max_age in days": {"rule": rule({"tokens": ["users"], "max_age": "1d"}), "want": "max_age is not a duration"},
		"max_age of zero": {"rule": rule({"tokens": ["users"], "max_age": 0}), "want": "max_age is not a duration"},
		"max_age of null": {"rule": rule({"tokens": ["users"], "max_age": null}), "want": "max_age is not a duration"},
		"nobody but an acr": {"rule": rule({"acr": "phr", "max_age": 900}), "want": "it does not say who"},
		"public with an acr": {"rule": rule({"public": true, "acr": "phr"}), "want": "public stands beside acr"},
		"public with an age": {"rule": rule({"public": true, "max_age": 900}), "want": "public stands beside max_age"},
		"no body": {"rule": rule({"tokens": ["users"], "body": {}}), "want": "body is not an object with members"},
	}
	not admits([case.rule], request)
	contains(reason([case.rule], request), "routes[0] is invalid: ")
	contains(reason([case.rule], request), case.want)
}

test_bounds_with_a_mistake[note] if {
	some note, body in {
		"no bounds": {"amount": {}},
		"bounds as a number": {"amount": 9},
		"unknown bounds": {"amount": {"most": 9}},
		"bounds as text": {"amount": {"max": "9"}},
		"in no list": {"currency": {"in": "EUR"}},
	}
	mistaken := rule({"tokens": ["users"], "body": body})
	not admits([mistaken], request)
	some field in object.keys(body)
	contains(reason([mistaken], request), sprintf("body %s has no bounds", [field]))
}

test_whose_claims if {
	not admits([rule({"roles": ["clerk"]})], two_slots)
	contains(reason([rule({"roles": ["clerk"]})], two_slots), "tokens does not say whose claims")
	not admits([rule({"path": "/orders/{sub}"})], two_slots)
	admits([rule({"roles": ["clerk"], "tokens": ["users"]})], two_slots)
}

test_whose_authentication if {
	rules := [rule({"principals": ["**"], "max_age": 900})]
	not admits(rules, two_slots)
	contains(reason(rules, two_slots), "tokens does not say whose claims")
	admits(rules, request)
}

test_the_first_token_has_the_claims if {
	robot := {"status": "valid", "claims": {"sub": "robot", "roles": ["batch"]}}
	both := object.union(request, {"tokens": {"workload": robot}})
	admits([rule({"tokens": ["workload", "users"], "roles": ["batch"]})], both)
	not admits([rule({"tokens": ["users", "workload"], "roles": ["batch"]})], both)
}

test_scopes_in_scp[note] if {
	some note, claims in {
		"as text": {"scp": "a b"},
		"as a list": {"scp": ["a", "b"]},
		"beside scope": {"scp": ["a"], "scope": "b"},
	}
	from := json.patch(request, [{"op": "replace", "path": "/tokens/users/claims", "value": claims}])
	admits([rule({"scopes": ["a", "b"]})], from)
}

test_claims_of_a_wrong_type[note] if {
	some note, claims in {
		"scope as a number": {"scope": 1},
		"scope as an object": {"scope": {"orders:read": true}},
		"roles as an object": {"roles": {"clerk": "clerk"}},
		"no realm access": {"realm_access": "clerk"},
		"none": {},
	}
	from := json.patch(request, [{"op": "replace", "path": "/tokens/users/claims", "value": claims}])
	not admits([rule({"scopes": ["orders:read"]})], from)
	not admits([rule({"roles": ["clerk"]})], from)
	startswith(reason([rule({"roles": ["clerk"]})], from), "routes[0] /orders/**: lacks role clerk")
}

test_a_number_in_the_path if {
	from := json.patch(request, [{"op": "replace", "path": "/parsed_path", "value": ["orders", "42"]}])
	admits([rule({"path": "/orders/{number}"})], from)
}

test_a_body_that_is_not_whole[note] if {
	some note, change in {
		"truncated": {"truncated_body": true, "parsed_body": null},
		"truncated, and there": {"truncated_body": true},
		"not JSON": {"parsed_body": null},
		"a list": {"parsed_body": [100]},
		"text": {"parsed_body": "100"},
	}
	from := object.union(object.remove(request, object.keys(change)), change)
	not admits([rule({"tokens": ["users"], "body": {"amount": {"max": 1000}}})], from)
}

test_another_method if {
	not admits([rule({"methods": ["GET"], "public": true})], request)
	reason([rule({"methods": ["GET"], "public": true})], request) == "routes[0] /orders/**: does not take the method"
}

test_another_path if {
	not admits([{"path": "/carts/**", "public": true}], request)
	reason([{"path": "/carts/**", "public": true}], request) == "no route has the path"
}

test_one_rule_is_enough if {
	rules := [rule({"roles": ["admin"]}), rule({"role": ["x"]}), rule({"roles": ["clerk"]})]
	admits(rules, request)
	reason(rules, request) == "routes[2] /orders/**"
}

test_the_nearest_rule_is_named if {
	rules := [
		rule({"roles": ["admin"], "scopes": ["root"]}),
		rule({"roles": ["admin"]}),
		rule({"public": true, "methods": ["GET"]}),
	]
	reason(rules, request) == "routes[1] /orders/**: lacks role admin"
}

remedy(rules, from) := answer if {
	answer := routes.remedy with data.routes as rules with input as from
}

test_remedy[note] if {
	some note, case in {
		"scopes": {"rule": {"scopes": ["orders:read", "admin"]}, "want": {"scopes": {"admin"}}},
		"acr": {"rule": {"tokens": ["users"], "acr": "gold"}, "want": {"acr_values": ["gold"]}},
		"acr in its order": {"rule": {"tokens": ["users"], "acr": ["silver", "gold"]}, "want": {"acr_values": ["silver", "gold"]}},
		"max_age": {"rule": {"tokens": ["users"], "max_age": "1m"}, "want": {"max_age": 60}},
		"max_age, with an acr that is there": {
			"rule": {"tokens": ["users"], "acr": "phr", "max_age": 60},
			"want": {"acr_values": ["phr"], "max_age": 60},
		},
		"a role too": {"rule": {"roles": ["admin"], "max_age": 60}, "want": {}},
		"a scope too": {"rule": {"scopes": ["admin"], "max_age": 60}, "want": {}},
		"nothing": {"rule": {"tokens": ["users"]}, "want": {}},
		"another method": {"rule": {"methods": ["GET"], "tokens": ["users"], "max_age": 60}, "want": {}},
	}
	remedy([rule(case.rule)], request) == case.want
}

test_what_the_caller_can_get_is_nearest if {
	rules := [rule({"roles": ["admin"]}), rule({"tokens": ["users"], "acr": "gold", "max_age": 60}), rule({"role": 1})]
	remedy(rules, request) == {"acr_values": ["gold"], "max_age": 60}
	startswith(reason(rules, request), "routes[1] ")
}

test_without_a_time[note] if {
	some note, time in {"none": {}, "text": "2023-11-14T22:28:20Z", "null": null, "text in it": {"seconds": "1700000900"}}
	from := json.patch(request, [{"op": "replace", "path": "/attributes/request/time", "value": time}])
	not admits([rule({"tokens": ["users"], "max_age": "15m"})], from)
	reason([rule({"tokens": ["users"], "max_age": "15m"})], from) == "routes[0] /orders/**: lacks max_age 900"
}

test_without_any_time if {
	from := json.patch(request, [{"op": "remove", "path": "/attributes/request/time"}])
	not admits([rule({"tokens": ["users"], "max_age": "15m"})], from)
}

test_a_list_of_rules_is_needed if {
	rules := {"all": {"path": "/**", "public": true}}
	not admits(rules, request)
	reason(rules, request) == "no route has the path; data.routes is not a list"
}

decisive(rules) := what if {
	what := routes.decisive with data.routes as rules with input as request
}

test_the_decisive_rule_is_named if {
	elsewhere := {"path": "/elsewhere", "public": true}
	near := {"rule": "routes[1]", "route": "/orders/**"}
	decisive([elsewhere, rule({"public": true})]) == near
	decisive([elsewhere, rule({"scopes": ["orders:delete"]})]) == near
	decisive([elsewhere, rule({"public": true, "methods": ["GET"]})]) == near
	decisive([elsewhere]) == {}
}
