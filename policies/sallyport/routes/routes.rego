# METADATA
# title: Routes
# description: |
#   Which of the rules in data.routes admit the request, and why the others do not.
#
#   A rule admits when every condition it states is known to hold. A condition that is not known
#   here, because its name is mistyped or its value has the wrong type, can never hold.
package sallyport.routes

import data.sallyport.pattern

# METADATA
# description: the rules that admit the request, by their place in the list
admitting contains i if {
	some i in matching
	count(required[i]) > 0
	count(required[i] - met[i]) == 0
	not faults[i]
}

# METADATA
# description: the rules that are objects; nothing else can admit
rules[i] := rule if {
	is_array(data.routes)
	some i, rule in data.routes
	is_object(rule)
}

# METADATA
# description: the rules whose path and method are those of the request
matching contains i if {
	some i in on_path
	_takes_method(rules[i])
}

# METADATA
# description: the rules whose path is that of the request
on_path contains i if {
	some i, rule in rules
	pattern.matches(_parts(rule.path), input.parsed_path)
}

# METADATA
# description: the conditions that a rule states, by their key, and `path` where that names claims
required[i] contains key if {
	some i in matching
	some key in (object.keys(rules[i]) - {"path", "methods"})
}

required[i] contains "path" if {
	some i in matching
	count(_path_claims(rules[i])) > 0
}

# METADATA
# description: the conditions of a rule that hold
met[i] := {key |
	some key in required[i]
	_holds(key, rules[i])
} if {
	some i in matching
}

# METADATA
# description: what a rule lacks to admit the request, as text
lacks[i] contains text if {
	some i in matching
	not faults[i]
	some key in (required[i] - met[i])
	text := _describe(key, rules[i])
}

# METADATA
# description: the rule that admits, or the nearest one and what it lacks, and every rule with a mistake
reason := sprintf("routes[%d] %s", [i, rules[i].path]) if {
	i := min(admitting)
} else := concat("; ", array.concat([_nearest], _mistakes))

default _nearest := "no route has the path"

_nearest := sprintf("routes[%d] %s: lacks %s", [i, rules[i].path, concat(", ", lacks[i])]) if {
	i := min({[count(texts), i] | some i, texts in lacks})[1]
} else := sprintf("routes[%d] %s: does not take the method", [i, rules[i].path]) if {
	i := min(on_path - matching)
}

_mistakes := ["data.routes is not a list"] if {
	not is_array(data.routes)
} else := [sprintf("routes[%d] is invalid: %s", [i, concat(", ", texts)]) | some i, texts in faults]

# The conditions. Each asks for the type of its value first: `every` holds of what has no members.

_takes_method(rule) if not "methods" in object.keys(rule)

_takes_method(rule) if input.attributes.request.http.method in _list(rule, "methods")

_holds("public", rule) if rule.public == true

_holds("tokens", rule) if {
	every slot in _list(rule, "tokens") {
		_valid(slot)
	}
}

_holds("scopes", rule) if {
	granted := _scopes(_claims(rule))
	every scope in _list(rule, "scopes") {
		scope in granted
	}
}

_holds("roles", rule) if {
	some role in _list(rule, "roles")
	role in _roles(_claims(rule))
}

_holds("claims", rule) if {
	claims := _claims(rule)
	every name, wanted in _members(rule, "claims") {
		_agree(claims[name], wanted)
	}
}

_holds("principals", rule) if {
	pattern.covers_principal(rule.principals, input.source.principal)
}

_holds("body", rule) if {
	input.truncated_body == false
	every field, bounds in _members(rule, "body") {
		_bounds_well_formed(bounds)
		_within(input.parsed_body[field], bounds)
	}
}

_holds("path", rule) if {
	claims := _claims(rule)
	every i, name in _path_claims(rule) {
		_written(claims[name]) == input.parsed_path[i]
	}
}

# A list of strings, none of them empty.
_list(rule, key) := value if {
	value := rule[key]
	is_array(value)
	count(value) > 0
	every item in value {
		is_string(item)
		item != ""
	}
}

_members(rule, key) := value if {
	value := rule[key]
	is_object(value)
	count(value) > 0
}

# A claim agrees with the value that is wanted, or with one of them. So does a claim that is a list
# when one of its items does.
_agree(value, wanted) if {
	some item in _items(value)
	item in _items(wanted)
}

_items(value) := value if is_array(value)

_items(value) := [value] if not is_array(value)

# A claim as it is written in a path.
_written(value) := value if is_string(value)

_written(value) := json.marshal(value) if is_number(value)

# Rego orders values of different types too (null is less than 1), so the type is asked first.
_within(value, bounds) if {
	every key, bound in bounds {
		_bounded(key, value, bound)
	}
}

_bounded("min", value, bound) if {
	is_number(value)
	value >= bound
}

_bounded("max", value, bound) if {
	is_number(value)
	value <= bound
}

_bounded("in", value, bound) if value in bound

# The tokens.

_valid(slot) if input.tokens[slot].status == "valid"

# The claims that a rule is about are those of the first token it names, or of the only one there is.
_claims(rule) := input.tokens[slot].claims if {
	slot := _slot(rule)
	_valid(slot)
}

_slot(rule) := _list(rule, "tokens")[0]

_slot(rule) := slot if {
	not "tokens" in object.keys(rule)
	count(input.tokens) == 1
	some slot in object.keys(input.tokens)
}

# RFC 8693 has `scope`, a string; Microsoft and Okta have `scp`, a string or a list.
_scopes(claims) := {scope |
	some key in ["scope", "scp"]
	some scope in _words(claims[key])
}

_words(value) := split(value, " ") if is_string(value)

_words(value) := value if is_array(value)

# The claim `roles`, and that of Keycloak.
_roles(claims) := {role |
	some place in [["roles"], ["realm_access", "roles"]]
	some role in _items(object.get(claims, place, []))
}

# The claims that the path names, by the place of their segment.
_path_claims(rule) := {i: name |
	some i, part in _parts(rule.path)
	name := pattern.claim(part)
}

_parts(path) := split(substring(path, 1, -1), "/") if {
	is_string(path)
	startswith(path, "/")
}

# What is said of a condition that does not hold.

_describe("tokens", rule) := sprintf("token %s", [concat(" and ", [slot |
	some slot in rule.tokens
	not _valid(slot)
])])

_describe("scopes", rule) := sprintf("scope %s", [concat(" and ", [scope |
	some scope in rule.scopes
	not scope in _granted(rule)
])])

_describe("roles", rule) := sprintf("role %s", [concat(" or ", rule.roles)])

_describe("claims", rule) := sprintf("claim %s", [concat(" and ", object.keys(rule.claims))])

_describe("principals", rule) := sprintf("principal %s", [concat(" or ", rule.principals)])

_describe("body", rule) := sprintf("body %s", [concat(" and ", object.keys(rule.body))])

_describe("path", rule) := sprintf("claim %s of the path", [concat(" and ", [name | some name in _path_claims(rule)])])

default _granted(_) := set()

_granted(rule) := _scopes(_claims(rule))
