package sallyport.routes

import data.sallyport.pattern
import data.sallyport.stepup
import data.sallyport.values

# What the data alone says of each rule. No rule in this file, nor in faults.rego, speaks of input:
# Sallyport evaluates them once, when it loads the policy, and not for every request.

# METADATA
# description: the rules that are objects; nothing else can admit
rules[i] := rule if {
	is_array(data.routes)
	some i, rule in data.routes
	is_object(rule)
}

# METADATA
# description: what a rule is called in records, in Envoy's access log and in traces
names[i] := {"rule": sprintf("routes[%d]", [i]), "route": rule.path} if some i, rule in rules

# METADATA
# description: the conditions that a rule states, by their key, and `path` where that names claims
required[i] := conditions if {
	some i, rule in rules
	conditions := (object.keys(rule) - {"path", "methods"}) | {"path" | count(path_claims[i]) > 0}
}

# METADATA
# description: a rule's lists that have strings and nothing else in them, none of them empty
lists[i] := {key: value |
	some key in (object.keys(rule) & {"methods", "tokens", "scopes", "roles", "principals"})
	value := rule[key]
	values.words(value)
} if {
	some i, rule in rules
}

# METADATA
# description: those lists as sets
sets[i] := {key: values.words(value) | some key, value in lists[i]} if some i, _ in rules

# METADATA
# description: a rule's objects that have members
objects[i] := {key: value |
	some key in (object.keys(rule) & {"claims", "body"})
	value := rule[key]
	is_object(value)
	count(value) > 0
} if {
	some i, rule in rules
}

# METADATA
# description: the ways to authenticate that a rule takes
acrs[i] := stepup.acr_values(rule.acr) if some i, rule in rules

# METADATA
# description: the seconds since the user authenticated that a rule allows
ages[i] := stepup.seconds(rule.max_age) if some i, rule in rules

# METADATA
# description: a rule asks how long ago the user authenticated; where none does, the time is not looked at
timed if count(ages) > 0

# METADATA
# description: what a rule asks of the authentication, as a denial says it
demands[i] := object.union({"acr_values": acr | acr := acrs[i]}, {"max_age": age | age := ages[i]}) if some i, _ in rules

# METADATA
# description: the segments of a rule's path
segments[i] := split(substring(rule.path, 1, -1), "/") if {
	some i, rule in rules
	is_string(rule.path)
	startswith(rule.path, "/")
}

# METADATA
# description: the claims that a rule's path names, by the place of their segment
path_claims[i] := {place: name |
	some place, part in segments[i]
	name := pattern.claim(part)
} if {
	some i, _ in rules
}

# METADATA
# description: the segments that a rule's path begins with, before any wildcard or claim
starts[i] := array.slice(parts, 0, min(special | {count(parts)})) if {
	some i, parts in segments
	special := {place | some place, part in parts; regex.match(`[*{]`, part)}
}

# METADATA
# description: the rules whose path is nothing but its beginning, by that
exact[start] contains i if {
	some i, start in starts
	segments[i] == start
}

# METADATA
# description: the rules whose path is its beginning and then `**`, by that beginning
below[start] contains i if {
	some i, start in starts
	segments[i] == array.concat(start, ["**"])
}

# METADATA
# description: the other rules, by the beginning of their path
like[start] contains i if {
	some i, start in starts
	segments[i] != start
	segments[i] != array.concat(start, ["**"])
}

# METADATA
# description: how many segments the beginnings in `below` have
below_lengths contains count(start) if some start in object.keys(below)

# METADATA
# description: how many segments the beginnings in `like` have
like_lengths contains count(start) if some start in object.keys(like)

# METADATA
# description: the rules that are about claims and do not name the token that has them
unnamed contains i if {
	some i, rule in rules
	_needs_claims(i)
	not "tokens" in object.keys(rule)
}

_needs_claims(i) if count(required[i] & {"scopes", "roles", "claims", "path", "acr", "max_age"}) > 0
