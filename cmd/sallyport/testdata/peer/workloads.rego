# As in SPIRE's tutorial: the workload at the other end of mutual TLS decides. Its name comes from
# Envoy, by the connection, and from x-forwarded-client-cert, which Envoy sets.
package envoy.authz

import input.attributes.request.http as http_request
import input.attributes.source.address as source_address

default allow = false

allow {
    http_request.path == "/books"
    http_request.method == "GET"
    input.attributes.source.principal == "spiffe://example.org/reader"
    source_address.socketAddress.address == "10.1.2.3"
}

allow {
    http_request.path == "/books"
    http_request.method == "POST"
    forwarded_id == "spiffe://example.org/writer"
}

forwarded_id = id {
    [_, _, uri] := split(http_request.headers["x-forwarded-client-cert"], ";")
    [_, id] := split(uri, "=")
}
