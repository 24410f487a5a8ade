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

test_matches_nothing_but_segments[note] if {
	some note, case in {
		"text": {"parts": "orders", "segments": "orders"},
		"null": {"parts": null, "segments": null},
		"text against the rest": {"parts": ["**"], "segments": "orders"},
		"text against one": {"parts": ["*"], "segments": "o"},
		"no parts": {"parts": [], "segments": null},
	}
	not pattern.matches(case.parts, case.segments)
}

test_parse if pattern.parse("/orders/{sub}/**") == ["orders", "{sub}", "**"]

test_parses_no[note] if {
	some note, text in {"slash": "orders", "text": ["orders"], "end": "/**/orders", "whole wildcard": "/o*"}
	not pattern.parse(text)
}

test_covers if {
	pattern.covers("/orders/*/items/**", ["orders", "7", "items"])
	pattern.covers("/", [""])
}

test_does_not_cover[note] if {
	some note, case in {
		"another": {"text": "/orders", "path": ["carts"]},
		"ill-formed, though equal": {"text": "/order*", "path": ["order*"]},
		"a path that is text": {"text": "/orders", "path": "orders"},
		"a pattern that is a list": {"text": ["orders"], "path": ["orders"]},
	}
	not pattern.covers(case.text, case.path)
}

test_covers_nothing_that_is_missing if [true | pattern.covers("/**", input.parsed_path)] == []

test_captured[note] if {
	some note, case in {
		"a name": {"text": "/users/{sub}/**", "path": ["users", "ann", "mail"], "want": {"sub": "ann"}},
		"two names": {"text": "/{tenant}/users/{sub}", "path": ["acme", "users", "ann"], "want": {"tenant": "acme", "sub": "ann"}},
		"the same twice": {"text": "/{sub}/{sub}", "path": ["ann", "ann"], "want": {"sub": "ann"}},
		"no name": {"text": "/users/*", "path": ["users", "ann"], "want": {}},
	}
	pattern.captured(case.text, case.path) == case.want
}

test_not_captured[note] if {
	some note, case in {
		"another twice": {"text": "/{sub}/{sub}", "path": ["ann", "bob"]},
		"another path": {"text": "/users/{sub}", "path": ["carts", "ann"]},
		"an empty segment": {"text": "/users/{sub}", "path": ["users", ""]},
	}
	not pattern.captured(case.text, case.path)
}
