package authz

import (
	"strings"
	"time"
)

// A Request is what Envoy asks about, read once and immutable from then on. Its fields are those
// of envoy.service.auth.v3.AttributeContext; what Envoy left unset is zero here.
type Request struct {
	// Fault says why the request could not be read. It denies before any door.
	Fault error

	HTTP        *HTTP     // nil for a check of Envoy's network filter (L4), which has no request
	Time        time.Time // when the request started, by Envoy's clock
	Source      Peer      // the downstream peer of the connection
	Destination Peer
	TLSSession  *TLSSession

	ContextExtensions map[string]string // the operator's, per route
	FilterMetadata    map[string]any    // by filter name; nil where Envoy sent no metadata, not even empty
	RouteMetadata     map[string]any    // likewise
}

// A Peer is one end of a connection.
type Peer struct {
	Address     string // IP address; "" for a pipe
	Port        uint32
	NoPort      bool   // the address came without one
	Pipe        string // path of a Unix socket
	Principal   string // of the peer's certificate: its first URI SAN, else DNS SAN, else subject
	Certificate string // URL-encoded PEM; only where Envoy includes it
	Service     string // a header's word: never authorize on it
	Labels      map[string]string
}

// TLSSession is what Envoy says of the downstream TLS connection.
type TLSSession struct {
	SNI string
}

// HTTP is the HTTP part of a request.
type HTTP struct {
	ID       string // Envoy's stream id
	Method   string
	Scheme   string
	Host     string
	Path     Path
	Query    string // always empty from Envoy, which leaves the query in the path
	Fragment string
	Protocol string
	Size     int64 // bytes received so far, -1 where unknown; not a content length

	Headers Headers
	// RawHeaders are the headers as they came with encode_raw_headers, in order; nil without it.
	RawHeaders []RawHeader

	Body    string // with_request_body
	RawBody []byte // with_request_body and pack_as_bytes

	// BodyFull tells that the body has as many bytes as are looked at (request.maxBodyBytes).
	// Envoy cuts a body at max_request_bytes, and where it cut a chunked one at exactly that
	// size, its x-envoy-auth-partial-body says "false" (seen with 1.36.4, 1.37.0 and 1.40.0).
	BodyFull bool
}

// A RawHeader is one entry of a request's header_map.
type RawHeader struct {
	Name     string
	Value    string
	RawValue []byte
}

// Headers are the values of each header by lower-case name, pseudo-headers included.
// Without encode_raw_headers Envoy joins repeated values with "," before we see them.
type Headers map[string][]string

// Joined is the header as one string, repeated values joined with ",", or "" where absent.
func (h Headers) Joined(name string) string {
	values := h[name]
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ",")
}
