package sallyport.scopes_test

import data.sallyport.scopes

test_granted[note] if {
	some note, case in {
		"scope": {"claims": {"scope": "a b"}, "want": {"a", "b"}},
		"scp as text": {"claims": {"scp": "a b"}, "want": {"a", "b"}},
		"scp as a list": {"claims": {"scp": ["a", "b"]}, "want": {"a", "b"}},
		"both": {"claims": {"scp": ["a"], "scope": "b"}, "want": {"a", "b"}},
		"none": {"claims": {}, "want": set()},
		"a number": {"claims": {"scope": 1}, "want": set()},
		"an object": {"claims": {"scope": {"a": true}}, "want": set()},
		"no claims": {"claims": "scope", "want": set()},
	}
	scopes.granted(case.claims) == case.want
}

two := {"scope": "a b"}

test_all if {
	scopes.all(two, ["a", "b"])
	scopes.all(two, {"b"})
}

test_any if scopes.any(two, ["b", "c"])

test_neither_any_nor_all[note] if {
	some note, case in {
		"another": [two, ["c"]],
		"a part": [two, ["a b"]],
		"nothing wanted": [two, []],
		"text": [two, "a"],
		"a number": [two, [1]],
		"null": [two, null],
		"no claims": [{}, ["a"]],
		"claims of another type": ["a b", ["a"]],
	}
	not scopes.all(case[0], case[1])
	not scopes.any(case[0], case[1])
}

test_not_all if not scopes.all(two, ["a", "c"])

test_nothing_where_something_is_missing if {
	[true | scopes.all(input.claims, ["a"])] == []
	[true | scopes.any(input.claims, ["a"])] == []
	[true | scopes.all(two, input.wanted)] == []
	[true | scopes.any(two, input.wanted)] == []
}

test_lacking if {
	scopes.lacking(two, ["a", "c"]) == {"c"}
	scopes.lacking({}, ["a", "c"]) == {"a", "c"}
	scopes.lacking(two, ["a"]) == set()
}
