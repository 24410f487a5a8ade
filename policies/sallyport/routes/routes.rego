# METADATA
# title: Routes
# description: |
#   Which of the rules in data.routes admit the request, and why the others do not.
#
#   A rule admits when every condition it states is known to hold. A condition that is not known
#   here, because its name is mistyped or its value has the wrong type, can never hold.
package sallyport.routes

import data.sallyport.body
import data.sallyport.pattern
import data.sallyport.roles
import data.sallyport.scopes
import data.sallyport.stepup
import data.sallyport.tokens
import data.sallyport.workload

# METADATA
# description: the rules that admit the request, by their place in the list
admitting contains i if {
	some i in matching
	not faults[i]
	count(required[i]) > 0
	every key in required[i] {
		_holds(key, i)
	}
}

# METADATA
# description: the rules whose path and method are those of the request
matching contains i if {
	some i in on_path
	_takes_method(i)
}

# METADATA
# description: the rules whose path is that of the request
on_path contains i if some i in exact[input.parsed_path]

on_path contains i if {
	some length in below_lengths
	some i in below[array.slice(input.parsed_path, 0, length)]
}

on_path contains i if {
	some length in like_lengths
	some i in like[array.slice(input.parsed_path, 0, length)]
	pattern.matches(segments[i], input.parsed_path)
}

# METADATA
# description: what a rule lacks to admit the request, as text by condition
lacks[i][key] := text if {
	some i in matching
	not faults[i]
	not i in unclear
	some key in required[i]
	not _holds(key, i)
	text := _describe(key, i)
}

# METADATA
# description: the rules of which it is not known whose claims they are about
default unclear := set()

unclear := unnamed if not _only_slot

# METADATA
# description: the rule that admits, or the nearest one and what it lacks, and every rule with a mistake
reason := sprintf("routes[%d] %s", [i, rules[i].path]) if {
	i := min(admitting)
} else := concat("; ", array.concat([_nearest], _mistakes))

# METADATA
# description: the rule that admits, or the nearest one, by its place in the list and its path
default decisive := {}

decisive := names[min(admitting)] if {
	count(admitting) > 0
} else := names[nearest] if {
	nearest
} else := names[min(on_path)]

default _nearest := "no route has the path"

_nearest := sprintf("routes[%d] %s: lacks %s", [i, rules[i].path, concat(", ", {text | some text in lacks[i]})]) if {
	i := nearest
} else := sprintf("routes[%d] %s: does not take the method", [i, rules[i].path]) if {
	i := min(on_path - matching)
}

# METADATA
# description: |
#   the rule that lacks least to admit the request, before all of what the caller cannot get by asking
#   for another token
nearest := min({[count(object.remove(keys, {"scopes", "acr", "max_age"})), count(keys), i] | some i, keys in lacks})[2]

# METADATA
# description: |
#   what the caller can get to be admitted, where the nearest rule lacks nothing else: scopes, or another
#   authentication, with all that the rule wants of it, so that the user is asked once
default remedy := {}

remedy := _remedy(object.keys(lacks[nearest]), nearest)

_remedy({"scopes"}, i) := {"scopes": sets[i].scopes - scopes.granted(_claims(i))}

_remedy(keys, i) := demands[i] if count(keys - {"acr", "max_age"}) == 0

_mistakes := mistakes if {
	count(unclear) == 0
} else := [_mistake(i, texts) |
	some i in (object.keys(faults) | unclear)
	texts := object.get(faults, i, set()) | {_unclear | i in unclear}
]

# The conditions.

_takes_method(i) if not "methods" in object.keys(rules[i])

_takes_method(i) if input.attributes.request.http.method in sets[i].methods

_holds("public", i) if rules[i].public == true

_holds("tokens", i) if count(sets[i].tokens - _valid_slots) == 0

_holds("scopes", i) if count(sets[i].scopes - scopes.granted(_claims(i))) == 0

_holds("roles", i) if count(sets[i].roles & roles.held(_claims(i))) > 0

_holds("claims", i) if {
	claims := _claims(i)
	every name, wanted in objects[i].claims {
		tokens.agree(claims[name], wanted)
	}
}

_holds("principals", i) if workload.any(input.source.principal, lists[i].principals)

_holds("body", i) if {
	input.truncated_body == false
	body.within(input.parsed_body, objects[i].body)
}

_holds("acr", i) if _claims(i).acr in acrs[i]

_holds("max_age", i) if stepup.fresh(_claims(i), ages[i], _time)

_holds("path", i) if {
	claims := _claims(i)
	every place, name in path_claims[i] {
		_written(claims[name]) == input.parsed_path[place]
	}
}

# A claim as it is written in a path.
_written(value) := value if is_string(value)

_written(value) := json.marshal(value) if is_number(value)

# Envoy's clock when the request began. The client has no say in it, and the decision depends on input
# and data alone, as it would not with time.now_ns.
_time := input.attributes.request.time if timed

# The tokens.

_valid_slots contains slot if {
	some slot, token in input.tokens
	token.status == "valid"
}

# The claims that a rule is about are those of the first token it names, or of the only one there is.
_claims(i) := input.tokens[slot].claims if {
	slot := _slot(i)
	slot in _valid_slots
}

_slot(i) := lists[i].tokens[0]

_slot(i) := _only_slot if i in unnamed

_only_slot := slot if {
	count(input.tokens) == 1
	some slot in object.keys(input.tokens)
}

# What is said of a condition that does not hold.

_describe("tokens", i) := sprintf("token %s", [concat(" and ", [slot |
	some slot in lists[i].tokens
	not slot in _valid_slots
])])

_describe("scopes", i) := sprintf("scope %s", [concat(" and ", [scope |
	some scope in lists[i].scopes
	not scope in _granted(i)
])])

_describe("roles", i) := sprintf("role %s", [concat(" or ", lists[i].roles)])

_describe("claims", i) := sprintf("claim %s", [concat(" and ", object.keys(objects[i].claims))])

_describe("principals", i) := sprintf("principal %s", [concat(" or ", lists[i].principals)])

_describe("body", i) := sprintf("body %s", [concat(" and ", object.keys(objects[i].body))])

_describe("acr", i) := sprintf("acr %s", [concat(" or ", acrs[i])])

_describe("max_age", i) := sprintf("max_age %d", [ages[i]])

_describe("path", i) := sprintf("claim %s of the path", [concat(" and ", [name | some name in path_claims[i]])])

default _granted(_) := set()

_granted(i) := scopes.granted(_claims(i))
