# METADATA
# title: Bodies
# description: |
#   Rules about a JSON body. Envoy sends a body only where its ext_authz filter says `with_request_body`,
#   and only the part that fits.
# custom: {library: true}
package sallyport.body

import data.sallyport.values

# METADATA
# title: body.json(content_type, parsed, truncated)
# description: |
#   The body, where it is JSON and whole: of
#   `input.attributes.request.http.headers["content-type"]`, `input.parsed_body` and
#   `input.truncated_body`. The other functions are for what this one gives, or a member of it. A form
#   has a `parsed_body` too, and is no JSON.
# custom:
#   examples:
#     - {call: 'body.json("application/json; charset=utf-8", {"amount": 5}, false)', gives: '{"amount": 5}'}
#     - {call: 'body.json("application/json", {"amount": 5}, true)', gives: undefined}
#     - {call: 'body.json("application/x-www-form-urlencoded", {"amount": ["5"]}, false)', gives: undefined}
json(content_type, parsed, truncated) := parsed if {
	truncated == false
	parsed != null
	is_string(content_type)
	_is_json(lower(trim_space(split(content_type, ";")[0])))
}

# METADATA
# title: body.within(document, bounds)
# description: |
#   Each of the fields is there and within its bounds: `min` and `max` for numbers, and `in`, a list of
#   values. More than one must all hold.
# custom:
#   examples:
#     - {call: 'body.within({"amount": 5, "currency": "EUR"}, {"amount": {"min": 1, "max": 1000}, "currency": {"in": ["EUR", "CHF"]}})', gives: 'true'}
#     - {call: 'body.within({"amount": "5"}, {"amount": {"max": 1000}})', gives: undefined}
#     - {call: 'body.within({}, {"amount": {"max": 1000}})', gives: undefined}
within(document, bounds) if {
	is_object(bounds)
	count(bounds) > 0
	every field, limits in bounds {
		well_formed(limits)
		_bounded(document[field], limits)
	}
}

# METADATA
# title: body.well_formed(limits)
# description: The bounds of one field, with nothing but `min`, `max` and `in`.
# custom:
#   examples:
#     - {call: 'body.well_formed({"min": 1, "max": 1000})', gives: 'true'}
#     - {call: 'body.well_formed({"most": 1000})', gives: undefined}
well_formed(limits) if {
	is_object(limits)
	count(limits) > 0
	every key, limit in limits {
		_limit(key, limit)
	}
}

# METADATA
# title: body.has(document, fields)
# description: The document is an object, and each of the fields is there and not null.
# custom:
#   examples:
#     - {call: 'body.has({"amount": 5, "currency": "EUR"}, ["amount", "currency"])', gives: 'true'}
#     - {call: 'body.has({"amount": null}, ["amount"])', gives: undefined}
has(document, fields) if {
	is_object(document)
	every field in values.words(fields) {
		object.get(document, field, null) != null
	}
}

# METADATA
# title: body.only(document, fields)
# description: The document is an object, and no other fields are there. They need not all be.
# custom:
#   examples:
#     - {call: 'body.only({"amount": 5}, ["amount", "currency"])', gives: 'true'}
#     - {call: 'body.only({"amount": 5, "admin": true}, ["amount", "currency"])', gives: undefined}
only(document, fields) if {
	is_object(document)
	count(object.keys(document) - values.words(fields)) == 0
}

# As Sallyport tells JSON: WHATWG, MIME sniffing, section 4.6.
_is_json(media_type) if media_type in {"application/json", "text/json"}

_is_json(media_type) if endswith(media_type, "+json")

# Rego orders values of different types too (null is less than 1), so the type is asked first.
_bounded(value, limits) if {
	every key, limit in limits {
		_fits(key, value, limit)
	}
}

_fits("min", value, limit) if {
	is_number(value)
	value >= limit
}

_fits("max", value, limit) if {
	is_number(value)
	value <= limit
}

_fits("in", value, limit) if value in limit

_limit("min", limit) if is_number(limit)

_limit("max", limit) if is_number(limit)

_limit("in", limit) if is_array(limit)
