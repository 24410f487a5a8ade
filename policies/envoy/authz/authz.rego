# METADATA
# title: The shipped policy
# description: |
#   What Sallyport decides by when it is given no other policy. It denies, unless a rule in the
#   data says otherwise; nobody needs Rego to write one. The rules are `policy.data` in
#   Sallyport's configuration:
#
#     policy:
#       data:
#         routes:                                 # of requests, in any order: one that admits is enough
#           - path: /orders/*/items/**            # * one segment, ** the rest, also none
#             methods: [GET, POST]                # absent: any
#             tokens: [users, workload]           # all of these slots hold a valid token
#             scopes: [orders:read]               # all of them, in the claim scope or scp
#             roles: [clerk, admin]               # any of them, in the claim roles or realm_access.roles
#             claims: {tenant: [acme, umbrella]}  # all of these claims: the value, or one of a list
#             principals:                         # any of these, from the caller's certificate (mTLS)
#               - spiffe://cluster.local/ns/*/sa/frontend
#             acr: [phr, phrh]                    # the user authenticated in any of these ways; or one
#             max_age: 15m                        # and no longer ago than that; or seconds
#             body: {amount: {min: 1, max: 1000}, currency: {in: [EUR, CHF]}}   # fields of a JSON body
#           - path: /users/{sub}/**               # the segment equals the claim sub
#           - path: /healthz
#             public: true                        # anybody; stands alone
#         network:                                # of connections without HTTP (Envoy's network filter)
#           - principals: [spiffe://cluster.local/ns/db/**]
#             ports: [5432]                       # of the destination; absent: any
#
#   All conditions of a rule must hold, and each rule must say who: public, tokens, scopes, roles,
#   claims, principals or a claim in the path. Scopes, roles, claims, acr and auth_time are those of the
#   first token in `tokens`; a rule may leave `tokens` out where only one slot is configured. A claim
#   that is a list has a value when one of its items is that value. `GET` does not include `HEAD`.
#
#   Browsers ask before they send (CORS preflight): OPTIONS, and never with a credential. Let Envoy's
#   CORS filter answer them, ahead of ext_authz; or, where the upstream answers, add a public rule
#   for that method alone, beside the one for the request itself:
#
#           - path: /orders/**
#             methods: [OPTIONS]
#             public: true
#
#   A caller who lacks nothing but `acr` or `max_age` is asked to authenticate again (401,
#   insufficient_user_authentication, RFC 9470), with all that the rule wants of it. The age is counted
#   from the claim `auth_time` to the time at which Envoy received the request; without one of the two
#   the condition does not hold.
#
#   A rule with a mistake, such as an unknown key, an empty list or a wrong type, admits nobody, and
#   every denial says so. An ambiguous path is denied, and so is a condition on a body that is
#   truncated or not JSON.
package envoy.authz

import data.sallyport.network
import data.sallyport.routes

# METADATA
# title: The decision
# description: |
#   Allowed or not, and why, for the operator's record. A caller who lacks nothing but scopes is told
#   which (RFC 6750, insufficient_scope), and one who lacks nothing but another authentication, too.
#   The rule that decided and its route go into the record, the trace and Envoy's dynamic metadata.
# entrypoint: true
allow := {"allowed": true, "reason": reason, "dynamic_metadata": decisive} if {
	allowed
} else := object.union({"allowed": false, "reason": reason, "dynamic_metadata": decisive}, remedy)

default allowed := false

allowed if {
	_is_http
	input.path_ambiguous == false
	count(routes.admitting) > 0
}

allowed if {
	not _is_http
	count(network.admitting) > 0
}

default reason := "the path is ambiguous"

reason := routes.reason if {
	_is_http
	input.path_ambiguous == false
}

reason := network.reason if not _is_http

default decisive := {}

decisive := routes.decisive if {
	_is_http
	input.path_ambiguous == false
}

decisive := network.decisive if not _is_http

default remedy := {}

remedy := routes.remedy if {
	_is_http
	input.path_ambiguous == false
}

_is_http if input.attributes.request.http
