package sallyport.values_test

import data.sallyport.values

test_words if {
	values.words(["a", "b", "a"]) == {"a", "b"}
	values.words({"a"}) == {"a"}
}

test_no_words[note] if {
	some note, list in {
		"none": [],
		"an empty set": set(),
		"an empty one": ["a", ""],
		"a number": ["a", 1],
		"text": "a",
		"an object": {"a": "a"},
		"null": null,
	}
	not values.words(list)
}

test_no_words_where_nothing_is if [true | values.words(input.nothing)] == []

test_items if {
	values.items(["a", 1]) == ["a", 1]
	values.items("a") == ["a"]
	values.items({"a": 1}) == [{"a": 1}]
	values.items(null) == [null]
}
