package sallyport.network_test

import data.sallyport.network

connection := {
	"attributes": {"destination": {"address": {"socketAddress": {"portValue": 5432}}}},
	"source": {"principal": "spiffe://cluster.local/ns/shop/sa/orders"},
}

test_admits[note] if {
	some note, rule in {
		"by principal": {"principals": ["spiffe://cluster.local/ns/shop/**"]},
		"by one of the principals": {"principals": ["spiffe://x", "spiffe://cluster.local/ns/*/sa/orders"]},
		"by principal and port": {"principals": ["spiffe://cluster.local/**"], "ports": [80, 5432]},
	}
	network.admitting == {0} with data.network as [rule] with input as connection
	network.reason == "network[0]" with data.network as [rule] with input as connection
}

test_does_not_admit[note] if {
	some note, rule in {
		"another principal": {"principals": ["spiffe://cluster.local/ns/web/**"]},
		"another port": {"principals": ["spiffe://cluster.local/**"], "ports": [80]},
	}
	count(network.admitting) == 0 with data.network as [rule] with input as connection
	reason := network.reason with data.network as [rule] with input as connection
	reason == "no network rule has the principal and the port"
}

test_mistakes[note] if {
	some note, case in {
		"no object": {"rule": "all", "want": "it is not an object"},
		"unknown key": {"rule": {"principals": ["**"], "port": 80}, "want": "unknown key port"},
		"no principals": {"rule": {"ports": [5432]}, "want": "principals is not a list of patterns"},
		"empty principals": {"rule": {"principals": []}, "want": "principals is not a list of patterns"},
		"principals no list": {"rule": {"principals": "**"}, "want": "principals is not a list of patterns"},
		"half a wildcard": {"rule": {"principals": ["spiffe*"]}, "want": "principals is not a list of patterns"},
		"no ports": {"rule": {"principals": ["**"], "ports": []}, "want": "ports is not a list of numbers"},
		"ports no list": {"rule": {"principals": ["**"], "ports": 5432}, "want": "ports is not a list of numbers"},
		"ports no numbers": {"rule": {"principals": ["**"], "ports": ["5432"]}, "want": "ports is not a list of numbers"},
	}
	count(network.admitting) == 0 with data.network as [case.rule] with input as connection
	reason := network.reason with data.network as [case.rule] with input as connection
	endswith(reason, sprintf("; network[0] is invalid: %s", [case.want]))
}

test_a_list_of_rules_is_needed if {
	rules := {"all": {"principals": ["**"]}}
	count(network.admitting) == 0 with data.network as rules with input as connection
	endswith(network.reason, "data.network is not a list") with data.network as rules with input as connection
}

test_without_rules if {
	count(network.admitting) == 0 with input as connection
	network.reason == "no network rule has the principal and the port" with input as connection
}

test_without_a_principal if {
	anonymous := object.remove(connection, ["source"])
	count(network.admitting) == 0 with data.network as [{"principals": ["**"]}] with input as anonymous
}
