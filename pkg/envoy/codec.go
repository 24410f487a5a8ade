package envoy

import (
	"errors"
	"fmt"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/sallyport/sallyport/pkg/authz"
)

const (
	// headerRoom is what a CheckRequest may hold beside the body: Envoy takes 60 KiB of headers
	// unless configured otherwise, and certificates and metadata come on top.
	headerRoom = 1 << 20

	// receiveLimit is the largest message, in bytes, that is received at all. Above it grpc-go
	// answers RESOURCE_EXHAUSTED before we see anything, so it lies far above what Envoy is set up
	// to send (max_request_bytes), and still bounds what a stranger can make us hold.
	receiveLimit = 64 << 20
)

// A message is a CheckRequest as it arrived.
type message struct {
	limit   int // of its bytes
	text    string
	fault   error          // why it was not even looked at
	request *authz.Request // what it was read as
}

// codec takes a message without ever failing: what grpc-go cannot decode (a string that is not
// UTF-8, CVE-2023-27488) it answers with a gRPC error, before any handler, and failure_mode_allow
// makes an allow of that. It is read in the handler, where a fault is a denial. So is an answer that
// cannot be written. Everything else is left to protobuf's own codec.
type codec struct {
	encoding.CodecV2
}

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	out, err := c.CodecV2.Marshal(v)
	if _, ok := v.(*authv3.CheckResponse); ok && err != nil {
		return c.CodecV2.Marshal(failed())
	}
	return out, err
}

// Unmarshal implements [encoding.CodecV2].
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	size := data.Len()
	if size > m.limit {
		m.fault = &authz.Error{Reason: authz.RequestTooLarge,
			Err: fmt.Errorf("envoy: the CheckRequest has %d bytes, the limit is %d", size, m.limit)}
		return nil
	}
	var text strings.Builder
	text.Grow(size)
	for _, buffer := range data {
		text.Write(buffer.ReadOnlyData())
	}
	m.text = text.String()
	return nil
}

func malformed(what string) error {
	return &authz.Error{Reason: authz.MalformedRequest, Err: fmt.Errorf("envoy: read CheckRequest: %w", errors.New(what))}
}

// ClientHeader is a header of the client's request, by its lower-case name, for who traces checks.
// The values of one that came several times are joined with commas.
func (m *message) ClientHeader(name string) string {
	if m.request == nil || m.request.HTTP == nil {
		return ""
	}
	return strings.Join(m.request.HTTP.Headers[name], ",")
}
