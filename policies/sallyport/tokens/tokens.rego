# METADATA
# title: Tokens
# description: |
#   What the first door found: `input.tokens` has an entry for each slot, which is a JWT rule of the
#   configuration.
# custom: {library: true}
package sallyport.tokens

import data.sallyport.values

# METADATA
# title: tokens.claims(tokens, slot)
# description: The claims of a valid token. Undefined where there is none.
# custom:
#   examples:
#     - {call: 'tokens.claims({"users": {"status": "valid", "claims": {"sub": "ann"}}}, "users")', gives: '{"sub": "ann"}'}
#     - {call: 'tokens.claims({"users": {"status": "missing"}}, "users")', gives: undefined}
claims(tokens, slot) := tokens[slot].claims if tokens[slot].status == "valid"

# METADATA
# title: tokens.valid(tokens, slots)
# description: Each of the slots holds a valid token.
# custom:
#   examples:
#     - {call: 'tokens.valid({"users": {"status": "valid"}, "workload": {"status": "valid"}}, ["users", "workload"])', gives: 'true'}
#     - {call: 'tokens.valid({"users": {"status": "valid"}, "workload": {"status": "missing"}}, ["users", "workload"])', gives: undefined}
valid(tokens, slots) if {
	every slot in values.words(slots) {
		tokens[slot].status == "valid"
	}
}

# METADATA
# title: tokens.missing(tokens, slot)
# description: |
#   The slot is one of the configuration's, and the request has no token for it. To be used instead of
#   `not tokens.valid(…)`, which holds for a mistyped slot too.
# custom:
#   examples:
#     - {call: 'tokens.missing({"users": {"status": "missing"}}, "users")', gives: 'true'}
#     - {call: 'tokens.missing({"users": {"status": "missing"}}, "user")', gives: undefined}
missing(tokens, slot) if tokens[slot].status == "missing"

# METADATA
# title: tokens.agree(value, wanted)
# description: |
#   A claim is the value that is wanted, or one of a list of them; a claim that is a list agrees when
#   one of its items does. Types must agree too, and null agrees with nothing.
# custom:
#   examples:
#     - {call: 'tokens.agree("acme", ["acme", "umbrella"])', gives: 'true'}
#     - {call: 'tokens.agree(["blue", "green"], "green")', gives: 'true'}
#     - {call: 'tokens.agree(42, "42")', gives: undefined}
agree(value, wanted) if {
	some item in values.items(value)
	item != null
	item in values.items(wanted)
}
