# METADATA
# scope: package
# custom:
#   library: true
package envoy.authz

default allow := false

allow if ours

ours if input.source.principal == "spiffe://example.com/a"

theirs if input.source.principal == "spiffe://example.com/b"
