package sallyport.roles_test

import data.sallyport.roles

test_held[note] if {
	some note, case in {
		"a list": {"claims": {"roles": ["clerk", "admin"]}, "want": {"clerk", "admin"}},
		"one": {"claims": {"roles": "clerk"}, "want": {"clerk"}},
		"of Keycloak": {"claims": {"realm_access": {"roles": ["auditor"]}}, "want": {"auditor"}},
		"both": {"claims": {"roles": ["clerk"], "realm_access": {"roles": ["auditor"]}}, "want": {"clerk", "auditor"}},
		"none": {"claims": {}, "want": set()},
		"another type": {"claims": {"realm_access": "clerk"}, "want": set()},
		"no claims": {"claims": "clerk", "want": set()},
	}
	roles.held(case.claims) == case.want
}

two := {"roles": ["clerk", "auditor"]}

test_any if roles.any(two, ["admin", "clerk"])

test_all if {
	roles.all(two, ["clerk", "auditor"])
	roles.all(two, {"clerk"})
}

test_neither_any_nor_all[note] if {
	some note, case in {
		"another": [two, ["admin"]],
		"another case": [two, ["Clerk"]],
		"nothing wanted": [two, []],
		"text": [two, "clerk"],
		"null": [two, null],
		"no claims": [{}, ["clerk"]],
		"roles as an object": [{"roles": {"clerk": "clerk"}}, ["clerk"]],
		"claims of another type": ["clerk", ["clerk"]],
	}
	not roles.any(case[0], case[1])
	not roles.all(case[0], case[1])
}

test_not_all if not roles.all(two, ["clerk", "admin"])

test_none if roles.none(two, ["suspended", "guest"])

test_not_none[note] if {
	some note, case in {
		"one of them": [two, ["suspended", "clerk"]],
		"nothing unwanted": [two, []],
		"text": [two, "suspended"],
		"no roles": [{}, ["suspended"]],
		"empty roles": [{"roles": []}, ["suspended"]],
		"roles as an object": [{"roles": {"suspended": true}}, ["suspended"]],
		"roles of which one cannot be read": [{"roles": ["clerk", {"name": "suspended"}]}, ["suspended"]],
	}
	not roles.none(case[0], case[1])
}

test_nothing_where_something_is_missing if {
	[true | roles.any(input.claims, ["clerk"])] == []
	[true | roles.all(input.claims, ["clerk"])] == []
	[true | roles.none(input.claims, ["clerk"])] == []
	[true | roles.any(two, input.wanted)] == []
	[true | roles.all(two, input.wanted)] == []
	[true | roles.none(two, input.wanted)] == []
}
