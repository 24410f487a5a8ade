package sallyport.body_test

import data.sallyport.body

order := {"amount": 100, "currency": "EUR", "note": null}

test_json[content_type] if {
	some content_type in ["application/json", "Application/JSON ; charset=utf-8", "text/json", "application/merge-patch+json"]
	body.json(content_type, order, false) == order
}

test_no_json[note] if {
	some note, case in {
		"truncated": {"type": "application/json", "parsed": order, "truncated": true},
		"a form": {"type": "application/x-www-form-urlencoded", "parsed": {"amount": ["100"]}, "truncated": false},
		"two types": {"type": "application/json,application/json", "parsed": order, "truncated": false},
		"null": {"type": "application/json", "parsed": null, "truncated": false},
		"no type": {"type": null, "parsed": order, "truncated": false},
		"truncated is no boolean": {"type": "application/json", "parsed": order, "truncated": null},
	}
	not body.json(case.type, case.parsed, case.truncated)
}

test_no_json_where_something_is_missing if {
	[true | body.json(input.type, order, false)] == []
	[true | body.json("application/json", input.parsed_body, false)] == []
	[true | body.json("application/json", order, input.truncated_body)] == []
}

test_within[note] if {
	some note, bounds in {
		"min and max": {"amount": {"min": 100, "max": 100}},
		"in": {"currency": {"in": ["CHF", "EUR"]}},
		"two fields": {"amount": {"max": 1000}, "currency": {"in": ["EUR"]}},
		"in and min": {"amount": {"in": [100, 200], "min": 50}},
	}
	body.within(order, bounds)
}

test_not_within[note] if {
	some note, bounds in {
		"too little": {"amount": {"min": 101}},
		"too much": {"amount": {"max": 99}},
		"not in": {"currency": {"in": ["CHF"]}},
		"one of two": {"amount": {"max": 1000}, "currency": {"in": ["CHF"]}},
		"null is not little": {"note": {"max": 1}},
		"text is not much": {"currency": {"min": 1}},
		"no field": {"price": {"max": 1}},
		"no bounds": {},
		"no bounds of a field": {"amount": {}},
		"unknown bounds": {"amount": {"most": 9}},
		"bounds as text": {"amount": {"max": "1000"}},
		"in no list": {"currency": {"in": "EUR"}},
		"a list": [{"max": 1000}],
		"null": null,
	}
	not body.within(order, bounds)
}

test_nothing_is_within_no_document[note] if {
	some note, document in {"null": null, "text": "100", "a number": 100, "a list": [100]}
	not body.within(document, {"amount": {"max": 1000}})
}

test_has if body.has(order, ["amount", "currency"])

test_has_not[note] if {
	some note, case in {
		"one": [order, ["amount", "price"]],
		"null": [order, ["note"]],
		"nothing wanted": [order, []],
		"text": [order, "amount"],
		"a list": [["amount"], ["amount"]],
		"no document": [null, ["amount"]],
	}
	not body.has(case[0], case[1])
}

test_only if {
	body.only(order, ["amount", "currency", "note", "price"])
	body.only({}, ["amount"])
}

test_not_only[note] if {
	some note, case in {
		"one more": [order, ["amount", "currency"]],
		"nothing allowed": [{}, []],
		"text": [order, "amount"],
		"a list": [[], ["amount"]],
		"no document": [null, ["amount"]],
	}
	not body.only(case[0], case[1])
}

test_nothing_where_something_is_missing if {
	[true | body.within(input.parsed_body, {"amount": {"max": 1000}})] == []
	[true | body.has(input.parsed_body, ["amount"])] == []
	[true | body.only(input.parsed_body, ["amount"])] == []
	[true | body.within(order, input.bounds)] == []
	[true | body.has(order, input.fields)] == []
	[true | body.only(order, input.fields)] == []
}
