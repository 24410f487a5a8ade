# METADATA
# title: Connections
# description: |
#   Which of the rules in data.network admit a connection that carries no HTTP, and why the others
#   do not. A rule names principals, and ports of the destination or none for all of them.
package sallyport.network

import data.sallyport.workload

# METADATA
# description: the rules that admit the connection, by their place in the list
admitting contains i if {
	some i, rule in rules
	not faults[i]
	workload.any(input.source.principal, rule.principals)
	_takes_port(rule)
}

# METADATA
# description: the rules that are objects; nothing else can admit
rules[i] := rule if {
	is_array(data.network)
	some i, rule in data.network
	is_object(rule)
}

# METADATA
# description: what is wrong with a rule, whatever the connection; such a rule never admits
faults[i] contains "it is not an object" if {
	some i, rule in data.network
	not is_object(rule)
}

faults[i] contains sprintf("unknown key %s", [key]) if {
	some i, rule in rules
	some key in (object.keys(rule) - {"principals", "ports"})
}

faults[i] contains "principals is not a list of patterns" if {
	some i, rule in rules
	not _principals_well_formed(rule)
}

faults[i] contains "ports is not a list of numbers" if {
	some i, rule in rules
	not _ports_well_formed(rule)
}

# METADATA
# description: the rule that admits, or that none does, and every rule with a mistake
reason := sprintf("network[%d]", [min(admitting)]) if {
	count(admitting) > 0
} else := concat("; ", array.concat(["no network rule has the principal and the port"], _mistakes))

# METADATA
# description: the rule that admits, by its place in the list
default decisive := {}

decisive := {"rule": sprintf("network[%d]", [min(admitting)])} if count(admitting) > 0

_mistakes := ["data.network is not a list"] if {
	not is_array(data.network)
} else := [sprintf("network[%d] is invalid: %s", [i, concat(", ", texts)]) | some i, texts in faults]

_takes_port(rule) if not "ports" in object.keys(rule)

_takes_port(rule) if input.attributes.destination.address.socketAddress.portValue in rule.ports

_principals_well_formed(rule) if {
	is_array(rule.principals)
	count(rule.principals) > 0
	every principal in rule.principals {
		workload.well_formed(principal)
	}
}

_ports_well_formed(rule) if not "ports" in object.keys(rule)

_ports_well_formed(rule) if {
	is_array(rule.ports)
	count(rule.ports) > 0
	every port in rule.ports {
		is_number(port)
	}
}
