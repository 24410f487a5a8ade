package sallyport.workload_test

import data.sallyport.workload

web := "spiffe://cluster.local/ns/shop/sa/web"

test_any if {
	workload.any(web, ["spiffe://a/ns/x/**", "spiffe://cluster.local/ns/*/sa/web"])
	workload.any(web, {"**"})
}

test_not_any[note] if {
	some note, case in {
		"another": [web, ["spiffe://cluster.local/ns/shop/sa/backend"]],
		"another trust domain": [web, ["spiffe://cluster.locale/**"]],
		"another case": [web, ["SPIFFE://cluster.local/**"]],
		"none": [web, []],
		"no list": [web, web],
		"a claim": [web, ["spiffe://cluster.local/ns/{ns}/sa/web"]],
		"an empty one": [web, [""]],
		"a number": [web, [1]],
		"an empty principal": ["", ["**"]],
		"no principal": [null, ["**"]],
		"a principal of segments": [["a"], ["**"]],
	}
	not workload.any(case[0], case[1])
}

test_nobody_is_any if {
	[true | workload.any(input.source.principal, ["**"])] == []
	[true | workload.any(web, input.wanted)] == []
}

test_spiffe[note] if {
	some note, case in {
		"a workload": {"principal": web, "want": {"trust_domain": "cluster.local", "path": ["ns", "shop", "sa", "web"]}},
		"a trust domain": {"principal": "spiffe://example.org", "want": {"trust_domain": "example.org", "path": []}},
		"dots in a name": {"principal": "spiffe://a/..b", "want": {"trust_domain": "a", "path": ["..b"]}},
	}
	workload.spiffe(case.principal) == case.want
}

test_not_spiffe[note] if {
	some note, principal in {
		"another scheme": "https://example.org/api",
		"letters": "spiffe://Example.org/api",
		"no trust domain": "spiffe:///api",
		"a port": "spiffe://example.org:80/api",
		"an empty segment": "spiffe://example.org//api",
		"a slash at the end": "spiffe://example.org/api/",
		"a dot": "spiffe://example.org/./api",
		"two dots": "spiffe://example.org/../api",
		"an escape": "spiffe://example.org/%61pi",
		"a query": "spiffe://example.org/api?x",
		"a line": "spiffe://example.org/api\n",
		"a name": "CN=api",
		"too long": concat("", ["spiffe://a/", concat("", [c | some _ in numbers.range(1, 2040); c := "a"])]),
		"a number": 1,
		"null": null,
	}
	not workload.spiffe(principal)
}

test_kubernetes if {
	workload.kubernetes(web) == {"trust_domain": "cluster.local", "namespace": "shop", "service_account": "web"}
}

test_not_kubernetes[principal] if {
	some principal in ["spiffe://cluster.local/shop/web", "spiffe://cluster.local/ns/shop/sa/web/x", "CN=web"]
	not workload.kubernetes(principal)
}

slots := {
	"workload": {"status": "valid", "claims": {"sub": web}},
	"users": {"status": "valid", "claims": {"sub": "ann"}},
	"bad": {"status": "invalid", "claims": {"sub": web}},
	"missing": {"status": "missing"},
}

test_subject if workload.subject(slots, "workload") == web

test_same if workload.same(web, slots, "workload")

test_not_same[slot] if {
	some slot in ["users", "bad", "missing", "nobody"]
	not workload.subject(slots, slot)
	not workload.same(web, slots, slot)
}

test_not_the_same_as_another if {
	not workload.same("spiffe://cluster.local/ns/shop/sa/api", slots, "workload")
	not workload.same("ann", slots, "users")
	[true | workload.same(input.source.principal, slots, "workload")] == []
	[true | workload.same(input.source.principal, slots, "missing")] == []
}
