package sallyport.pattern_test

import data.sallyport.pattern

test_matches[note] if {
	some note, case in {
		"itself": {"pattern": "orders/1", "text": "orders/1"},
		"nothing": {"pattern": "", "text": ""},
		"one segment": {"pattern": "orders/*/items", "text": "orders/1/items"},
		"the rest": {"pattern": "public/**", "text": "public/css/a.css"},
		"no rest": {"pattern": "public/**", "text": "public"},
		"an empty rest": {"pattern": "public/**", "text": "public/"},
		"everything": {"pattern": "**", "text": ""},
		"a claim": {"pattern": "users/{sub}", "text": "users/ann"},
		"a trailing slash": {"pattern": "orders/", "text": "orders/"},
	}
	pattern.matches(split(case.pattern, "/"), split(case.text, "/"))
}

test_does_not_match[note] if {
	some note, case in {
		"another segment": {"pattern": "orders/1", "text": "orders/2"},
		"another case": {"pattern": "orders", "text": "Orders"},
		"one segment more": {"pattern": "orders/*", "text": "orders/1/items"},
		"one segment less": {"pattern": "orders/*/items", "text": "orders/1"},
		"an empty segment for one": {"pattern": "orders/*", "text": "orders/"},
		"an empty segment for a claim": {"pattern": "users/{sub}", "text": "users/"},
		"no trailing slash": {"pattern": "orders", "text": "orders/"},
		"another start before the rest": {"pattern": "public/**", "text": "publicity"},
	}
	not pattern.matches(split(case.pattern, "/"), split(case.text, "/"))
}

test_well_formed[text] if {
	some text in ["", "orders", "orders/*/items/**", "users/{sub}/{sub}", "**"]
	pattern.well_formed(split(text, "/"))
}

test_not_well_formed[text] if {
	some text in ["order*", "a/**/b", "***", "{}", "{sub", "sub}", "x{sub}", "{a{b}}", "{*}"]
	not pattern.well_formed(split(text, "/"))
}

test_claim if pattern.claim("{sub}") == "sub"

test_no_claim[part] if {
	some part in ["sub", "{sub", "{}", "*"]
	not pattern.claim(part)
}

test_covers_principal if {
	pattern.covers_principal(
		["spiffe://a/ns/x/**", "spiffe://cluster.local/ns/*/sa/frontend"],
		"spiffe://cluster.local/ns/shop/sa/frontend",
	)
}

test_does_not_cover_principal[note] if {
	some note, patterns in {
		"another": ["spiffe://cluster.local/ns/shop/sa/backend"],
		"none": [],
		"no list": "spiffe://cluster.local/ns/shop/sa/frontend",
		"a claim": ["spiffe://cluster.local/ns/{ns}/sa/frontend"],
		"an empty one": [""],
		"a number": [1],
	}
	not pattern.covers_principal(patterns, "spiffe://cluster.local/ns/shop/sa/frontend")
}
