package envoy_test

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/pkg/authz"
)

func TestRequest(t *testing.T) {
	metadata, err := structpb.NewStruct(map[string]any{"tier": "gold"})
	if err != nil {
		t.Fatal(err)
	}
	in := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{
			Principal: "spiffe://example.org/web", Certificate: "cert", Service: "web", Labels: map[string]string{"a": "b"},
			Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: "10.1.2.3", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 41234}}}},
		},
		Destination: &authv3.AttributeContext_Peer{
			Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/run/app.sock"}}}},
		ContextExtensions: map[string]string{"policy": "orders"},
		TlsSession:        &authv3.AttributeContext_TLSSession{Sni: "example.org"},
		MetadataContext:   &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"f": metadata}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: "POST", Scheme: "https", Host: "example.org", Path: "/a?b=c", Protocol: "HTTP/2", Size: 3,
			Headers: map[string]string{"x-one": "1", "X-Two": "2", "x-two": "3"}, Body: "abc",
		}},
	}}
	want := authz.Request{
		MessageBytes: proto.Size(in),
		Source: authz.Peer{Address: "10.1.2.3", Port: 41234, Principal: "spiffe://example.org/web",
			Certificate: "cert", Service: "web", Labels: map[string]string{"a": "b"}},
		Destination:       authz.Peer{Pipe: "/run/app.sock"},
		ContextExtensions: map[string]string{"policy": "orders"},
		TLSSession:        &authz.TLSSession{SNI: "example.org"},
		FilterMetadata:    map[string]any{"f": map[string]any{"tier": "gold"}},
		HTTP: &authz.HTTP{
			ID: "1", Method: "POST", Scheme: "https", Host: "example.org", Protocol: "HTTP/2", Size: 3,
			Path:    authz.Path{Raw: "/a?b=c", Segments: []string{"a"}, Query: map[string][]string{"b": {"c"}}},
			Headers: authz.Headers{"x-one": {"1"}, "x-two": {"2", "3"}}, Body: "abc",
		},
	}
	conn, l := serve(t, authz.Decision{}, nil)
	if _, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, *(<-l.records).Request); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// encode_raw_headers keeps repeated values apart, and leaves the other form empty.
func TestRawHeaders(t *testing.T) {
	conn, l := serve(t, authz.Decision{}, nil)
	in := httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/", HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: "authorization", RawValue: []byte("Bearer a")}, {Key: "authorization", RawValue: []byte("Bearer b")}, {Key: "x", Value: "y"},
	}}})
	if _, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	want := authz.Headers{"authorization": {"Bearer a", "Bearer b"}, "x": {"y"}}
	if diff := cmp.Diff(want, (<-l.records).Request.HTTP.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// The server is set up for bodies of 1 KiB.
func TestBodyFull(t *testing.T) {
	for size, want := range map[int]bool{1<<10 - 1: false, 1 << 10: true} {
		conn, l := serve(t, authz.Decision{}, nil)
		in := httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/", RawBody: make([]byte, size)})
		if _, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if got := (<-l.records).Request.HTTP.BodyFull; got != want {
			t.Errorf("%d bytes: full %v, want %v", size, got, want)
		}
	}
}

// A check of the network filter has no HTTP request.
func TestNetworkCheck(t *testing.T) {
	conn, l := serve(t, authz.Decision{Allowed: true}, nil)
	response, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: "spiffe://example.org/web"}}})
	if err != nil || response.GetStatus().GetCode() != 0 {
		t.Fatalf("response %v, error %v", response, err)
	}
	if record := <-l.records; record.Request.HTTP != nil {
		t.Errorf("an HTTP request appeared: %+v", record.Request.HTTP)
	}
}
