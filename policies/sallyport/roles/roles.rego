# METADATA
# title: Roles
# description: |
#   What a user is. The claim is `roles`, a list or one role (RFC 9068, section 2.2.3.1), or
#   `realm_access.roles`, as Keycloak has it.
# custom: {library: true}
package sallyport.roles

import data.sallyport.values

# METADATA
# title: roles.held(claims)
# description: The roles of a token, as a set. Empty where the token has none.
# custom:
#   examples:
#     - {call: 'roles.held({"roles": ["clerk"], "realm_access": {"roles": ["auditor"]}})', gives: '{"auditor", "clerk"}'}
held(claims) := {role | some role in values.items(claims.roles)} | {role | some role in values.items(claims.realm_access.roles)}

# METADATA
# title: roles.any(claims, wanted)
# description: The token has at least one of the roles.
# custom:
#   examples:
#     - {call: 'roles.any({"roles": ["clerk"]}, ["admin", "clerk"])', gives: 'true'}
#     - {call: 'roles.any({"roles": ["clerk"]}, "clerk")', gives: undefined}
any(claims, wanted) if count(values.words(wanted) & held(claims)) > 0

# METADATA
# title: roles.all(claims, wanted)
# description: The token has all of the roles.
# custom:
#   examples:
#     - {call: 'roles.all({"roles": ["clerk", "auditor"]}, ["auditor", "clerk"])', gives: 'true'}
#     - {call: 'roles.all({"roles": ["clerk"]}, ["auditor", "clerk"])', gives: undefined}
all(claims, wanted) if count(values.words(wanted) - held(claims)) == 0

# METADATA
# title: roles.none(claims, unwanted)
# description: |
#   The token says its roles, and none of these is among them. To be used instead of
#   `not roles.any(…)`, which holds for a token that says none, too.
# custom:
#   examples:
#     - {call: 'roles.none({"roles": ["clerk"]}, ["suspended"])', gives: 'true'}
#     - {call: 'roles.none({"roles": ["clerk", "suspended"]}, ["suspended"])', gives: undefined}
#     - {call: 'roles.none({}, ["suspended"])', gives: undefined}
none(claims, unwanted) if {
	roles := held(claims)
	count(roles) > 0
	every role in roles {
		is_string(role)
	}
	count(values.words(unwanted) & roles) == 0
}
