package sallyport.stepup_test

import data.sallyport.stepup

test_acr if {
	stepup.acr({"acr": "gold"}, "gold")
	stepup.acr({"acr": "gold"}, ["silver", "gold"])
}

test_no_acr[note] if {
	some note, case in {
		"another": [{"acr": "silver"}, ["gold"]],
		"none": [{}, ["gold"]],
		"a list": [{"acr": ["gold"]}, ["gold"]],
		"null": [{"acr": null}, [null]],
		"nothing wanted": [{"acr": "gold"}, []],
		"empty": [{"acr": ""}, ""],
		"two words": [{"acr": "a b"}, "a b"],
		"a number": [{"acr": 1}, 1],
		"no claims": [null, "gold"],
	}
	not stepup.acr(case[0], case[1])
}

test_acr_values if {
	stepup.acr_values("gold") == ["gold"]
	stepup.acr_values(["urn:b", "urn:a"]) == ["urn:b", "urn:a"]
}

test_no_acr_values[note] if {
	some note, wanted in {
		"a quote": ["a\"b"], "a backslash": ["a\\b"], "a space": ["a b"], "a line": "a\n", "not ASCII": "grün",
		"a number": [1], "none": [], "an object": {"a": "b"}, "null": null,
	}
	not stepup.acr_values(wanted)
}

now := {"seconds": 1700000900}

test_fresh[note] if {
	some note, case in {
		"to the second": [1700000000, "15m"],
		"seconds": [1700000000, 900],
		"just now": [1700000900, "1s"],
		"a clock ahead": [1700000930, "1s"],
		"with a fraction": [1700000000.5, 900],
	}
	stepup.fresh({"auth_time": case[0]}, case[1], now)
}

test_not_fresh[note] if {
	some note, case in {
		"a second late": [{"auth_time": 1699999999}, "15m", now],
		"far ahead": [{"auth_time": 1700000931}, "15m", now],
		"milliseconds": [{"auth_time": 1700000900000}, "15m", now],
		"text": [{"auth_time": "1700000900"}, "15m", now],
		"null": [{"auth_time": null}, "15m", now],
		"no time of it": [{}, "15m", now],
		"no claims": [null, "15m", now],
		"no age": [{"auth_time": 1700000900}, null, now],
		"an age of zero": [{"auth_time": 1700000900}, 0, now],
		"no time": [{"auth_time": 1700000900}, "15m", {}],
		"a time as text": [{"auth_time": 1700000900}, "15m", "2023-11-14T22:28:20Z"],
		"a time of text": [{"auth_time": 1700000900}, "15m", {"seconds": "1700000900"}],
	}
	not stepup.fresh(case[0], case[1], case[2])
}

test_nothing_where_something_is_missing if {
	[true | stepup.acr(input.claims, "gold")] == []
	[true | stepup.acr({"acr": "gold"}, input.wanted)] == []
	[true | stepup.fresh(input.claims, "15m", now)] == []
	[true | stepup.fresh({"auth_time": 1700000900}, input.age, now)] == []
	[true | stepup.fresh({"auth_time": 1700000900}, "15m", input.attributes.request.time)] == []
}

test_seconds[note] if {
	some note, case in {
		"minutes": ["15m", 900],
		"hours, minutes and seconds": ["1h30m10s", 5410],
		"a number": [900, 900],
		"a number with a point": [900.0, 900],
		"the longest": ["99999h9999999m40003660s", 1000000000],
	}
	stepup.seconds(case[0]) == case[1]
}

test_no_seconds[note] if {
	some note, max_age in {
		"zero": 0, "less": -1, "a fraction": 1.5, "too many": 1000000001, "far too many": 1e300,
		"no text": "", "no unit": "900", "another unit": "1d", "milliseconds": "900ms", "words": "15 minutes",
		"less in text": "-15m", "zero in text": "0s", "too many digits": "9999999999s", "a point": "1.5h",
		"for ever": "99999h9999999m999999999s", "null": null, "a list": ["15m"], "a boolean": true,
	}
	not stepup.seconds(max_age)
}
