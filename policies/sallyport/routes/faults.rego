package sallyport.routes

import data.sallyport.body
import data.sallyport.pattern
import data.sallyport.workload

# METADATA
# description: what is wrong with a rule, whatever the request; such a rule never admits
faults[i] contains "it is not an object" if {
	some i, rule in data.routes
	not is_object(rule)
}

faults[i] contains sprintf("unknown key %s", [key]) if {
	some i, rule in rules
	some key in (object.keys(rule) - _known_keys)
}

faults[i] contains sprintf("%s is not a list of strings", [key]) if {
	some i, rule in rules
	some key in (object.keys(rule) & _list_keys)
	not lists[i][key]
}

faults[i] contains sprintf("%s is not an object with members", [key]) if {
	some i, rule in rules
	some key in (object.keys(rule) & {"claims", "body"})
	not objects[i][key]
}

faults[i] contains "path is not a pattern that starts with /" if {
	some i, _ in rules
	not _path_well_formed(i)
}

faults[i] contains "principals has a pattern with a wildcard that is no whole segment, or with a claim" if {
	some i, keys in lists
	some principal in keys.principals
	not workload.well_formed(principal)
}

faults[i] contains "public is not true" if {
	some i, rule in rules
	rule.public != true
}

faults[i] contains sprintf("public stands beside %s", [key]) if {
	some i, rule in rules
	"public" in object.keys(rule)
	some key in (object.keys(rule) - {"public", "path", "methods"})
}

faults[i] contains "public stands beside a claim in the path" if {
	some i, rule in rules
	"public" in object.keys(rule)
	count(path_claims[i]) > 0
}

faults[i] contains "it does not say who: public, tokens, scopes, roles, claims or principals" if {
	some i, rule in rules
	count(object.keys(rule) & _who_keys) == 0
	count(path_claims[i]) == 0
}

faults[i] contains _unclear if {
	some i, rule in rules
	_needs_claims(i)
	"tokens" in object.keys(rule)
	not lists[i].tokens
}

faults[i] contains sprintf("body %s has no bounds but min, max and in", [field]) if {
	some i, keys in objects
	some field, bounds in keys.body
	not body.well_formed(bounds)
}

faults[i] contains "acr is not a word or a list of words" if {
	some i, rule in rules
	"acr" in object.keys(rule)
	not acrs[i]
}

faults[i] contains "max_age is not a duration such as 15m, nor whole seconds" if {
	some i, rule in rules
	"max_age" in object.keys(rule)
	not ages[i]
}

# METADATA
# description: a text for every rule with a mistake
mistakes := ["data.routes is not a list"] if {
	not is_array(data.routes)
} else := [_mistake(i, texts) | some i, texts in faults]

_mistake(i, texts) := sprintf("routes[%d] is invalid: %s", [i, concat(", ", texts)])

_unclear := "tokens does not say whose claims"

_known_keys := _who_keys | {"path", "methods", "body", "acr", "max_age"}

_list_keys := {"methods", "tokens", "scopes", "roles", "principals"}

_who_keys := {"public", "tokens", "scopes", "roles", "claims", "principals"}

_path_well_formed(i) if pattern.well_formed(segments[i])
