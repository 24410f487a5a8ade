package sallyport.tokens_test

import data.sallyport.tokens

slots := {
	"users": {"status": "valid", "claims": {"sub": "ann"}},
	"device": {"status": "valid", "claims": {}},
	"workload": {"status": "missing"},
	"invalid": {"status": "invalid", "claims": {"sub": "eve"}},
}

test_claims if {
	tokens.claims(slots, "users") == {"sub": "ann"}
	tokens.claims(slots, "device") == {}
}

test_no_claims[slot] if {
	some slot in ["workload", "invalid", "nobody", 1, null]
	not tokens.claims(slots, slot)
}

test_no_claims_without_tokens if [true | tokens.claims(input.tokens, "users")] == []

test_valid if {
	tokens.valid(slots, ["users"])
	tokens.valid(slots, {"users", "device"})
}

test_not_valid[note] if {
	some note, wanted in {
		"one missing": ["users", "workload"],
		"one unknown": ["users", "nobody"],
		"one bad": ["users", "invalid"],
		"none": [],
		"text": "users",
	}
	not tokens.valid(slots, wanted)
}

test_missing if tokens.missing(slots, "workload")

test_not_missing[slot] if {
	some slot in ["users", "invalid", "nobody"]
	not tokens.missing(slots, slot)
}

test_agree[note] if {
	some note, case in {
		"equal": ["acme", "acme"],
		"one of a list": ["acme", ["umbrella", "acme"]],
		"a list": [["blue", "green"], "green"],
		"two lists": [["blue", "green"], ["red", "blue"]],
		"a boolean": [true, true],
	}
	tokens.agree(case[0], case[1])
}

test_do_not_agree[note] if {
	some note, case in {
		"another": ["acme", "umbrella"],
		"another case": ["acme", "Acme"],
		"a part": ["acme", ["acme corp"]],
		"another type": [1, "1"],
		"null": [null, null],
		"null in lists": [[null], [null]],
		"nothing wanted": ["acme", []],
		"nothing there": [[], "acme"],
	}
	not tokens.agree(case[0], case[1])
}

test_nothing_agrees_with_what_is_missing if {
	[true | tokens.agree(input.nothing, "acme")] == []
	[true | tokens.agree("acme", input.nothing)] == []
}
