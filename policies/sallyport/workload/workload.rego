# METADATA
# title: Workloads
# description: |
#   Which service or device calls. `input.source.principal` is the identity in the certificate of the
#   caller, which Envoy verified (mTLS); without one it is undefined. A second token can say it too: a
#   slot of its own for JWT-SVIDs, or for whatever the devices carry.
# custom: {library: true}
package sallyport.workload

import data.sallyport.pattern
import data.sallyport.tokens

# METADATA
# title: workload.any(principal, patterns)
# description: One of the patterns, which have segments but no claims, covers the principal.
# custom:
#   examples:
#     - {call: 'workload.any("spiffe://cluster.local/ns/shop/sa/web", ["spiffe://cluster.local/ns/*/sa/web"])', gives: 'true'}
#     - {call: 'workload.any("spiffe://cluster.local/ns/shop/sa/web", ["spiffe://cluster.local/ns/shop"])', gives: undefined}
#     - {call: 'workload.any("", ["**"])', gives: undefined}
any(principal, patterns) if {
	is_string(principal)
	principal != ""
	segments := split(principal, "/")
	some text in patterns
	well_formed(text)
	pattern.matches(split(text, "/"), segments)
}

# METADATA
# title: workload.well_formed(text)
# description: A well-formed pattern of principals, without claims.
# custom:
#   examples:
#     - {call: 'workload.well_formed("spiffe://cluster.local/**")', gives: 'true'}
#     - {call: 'workload.well_formed("spiffe://cluster.local/ns/{ns}")', gives: undefined}
well_formed(text) if {
	is_string(text)
	text != ""
	parts := split(text, "/")
	pattern.well_formed(parts)
	every part in parts {
		not pattern.claim(part)
	}
}

# METADATA
# title: workload.spiffe(principal)
# description: |
#   The parts of a SPIFFE ID. Undefined for any other principal, and for one that the SPIFFE ID
#   standard, section 2, does not allow.
# custom:
#   examples:
#     - {call: 'workload.spiffe("spiffe://example.org/billing/api")', gives: '{"trust_domain": "example.org", "path": ["billing", "api"]}'}
#     - {call: 'workload.spiffe("spiffe://example.org/billing/../api")', gives: undefined}
#     - {call: 'workload.spiffe("CN=api")', gives: undefined}
spiffe(principal) := {"trust_domain": parts[2], "path": path} if {
	is_string(principal)
	count(principal) <= 2048
	regex.match(`^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*$`, principal)
	parts := split(principal, "/")
	path := array.slice(parts, 3, count(parts))
	count({".", ".."} & {segment | some segment in path}) == 0
}

# METADATA
# title: workload.kubernetes(principal)
# description: The namespace and the service account of an ID as Istio and Kubernetes write it.
# custom:
#   examples:
#     - call: workload.kubernetes("spiffe://cluster.local/ns/shop/sa/web")
#       gives: '{"trust_domain": "cluster.local", "namespace": "shop", "service_account": "web"}'
#     - {call: 'workload.kubernetes("spiffe://cluster.local/shop/web")', gives: undefined}
kubernetes(principal) := {"trust_domain": id.trust_domain, "namespace": namespace, "service_account": account} if {
	id := spiffe(principal)
	["ns", namespace, "sa", account] = id.path
}

# METADATA
# title: workload.subject(tokens, slot)
# description: The SPIFFE ID that a valid token is about, such as a JWT-SVID.
# custom:
#   examples:
#     - call: 'workload.subject({"workload": {"status": "valid", "claims": {"sub": "spiffe://example.org/api"}}}, "workload")'
#       gives: '"spiffe://example.org/api"'
#     - {call: 'workload.subject({"workload": {"status": "valid", "claims": {"sub": "ann"}}}, "workload")', gives: undefined}
subject(slots, slot) := id if {
	id := tokens.claims(slots, slot).sub
	spiffe(id)
}

# METADATA
# title: workload.same(principal, tokens, slot)
# description: |
#   The certificate and the second token are of one workload, so that neither is of use without the
#   other.
# custom:
#   examples:
#     - call: 'workload.same("spiffe://example.org/api", {"workload": {"status": "valid", "claims": {"sub": "spiffe://example.org/api"}}}, "workload")'
#       gives: 'true'
#     - call: 'workload.same("spiffe://example.org/web", {"workload": {"status": "valid", "claims": {"sub": "spiffe://example.org/api"}}}, "workload")'
#       gives: undefined
same(principal, slots, slot) if principal == subject(slots, slot)
