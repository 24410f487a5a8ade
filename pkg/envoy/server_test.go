package envoy_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
)

// A line is what stands behind the server in a test: both doors open, and a record of what came.
type line struct {
	decision authz.Decision
	err      error
	records  chan authz.Record
}

func (*line) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	return authz.Identity{}, nil
}

func (l *line) Decide(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
	return l.decision, l.err
}

func (l *line) Record(_ context.Context, r *authz.Record) { l.records <- *r }

// serve answers with decision and err on loopback, through real gRPC.
func serve(t *testing.T, decision authz.Decision, err error) (*grpc.ClientConn, *line) {
	t.Helper()
	l := &line{decision: decision, err: err, records: make(chan authz.Record, 10)}
	s := envoy.Server{Checker: &authz.Checker{Verifier: l, Decider: l, Recorder: l}, MaxBodyBytes: 1 << 10}
	return dial(t, s.Register, s.Options()...), l
}

func dial(t *testing.T, register func(grpc.ServiceRegistrar), options ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-done
	})
	return conn
}

func httpCheck(http *authv3.AttributeContext_HttpRequest) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: http},
	}}
}

// Every input, however broken, is answered with a denial and not with a gRPC error (rule 2).
func TestBadInputIsDenied(t *testing.T) {
	field := func(number protowire.Number, message []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), message)
	}
	attributes := func(http []byte) []byte { return field(1, field(4, field(2, http))) }

	for name, tc := range map[string]struct {
		message    any
		wantReason authz.Reason
		wantStatus int
	}{
		"no attributes": {&authv3.CheckRequest{}, authz.MalformedRequest, 400},
		"a string that is not UTF-8": {
			raw(attributes(field(4, []byte("/a\xff")))), authz.MalformedRequest, 400},
		"no protobuf": {raw("\xff\xff\xff"), authz.MalformedRequest, 400},
		"a message over the limit": {
			httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/", RawBody: make([]byte, 8<<20)}), authz.RequestTooLarge, 413},
		"a body over the limit": {
			httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/", Body: strings.Repeat("x", 1<<10+1)}), authz.RequestTooLarge, 413},
		"a bad escape": {httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/%zz"}), authz.MalformedRequest, 400},
		"an ambiguous path": {
			httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/public/..%2forders"}), authz.PathAmbiguous, 400},
		"header bytes that are not UTF-8": {
			httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/", HeaderMap: &corev3.HeaderMap{
				Headers: []*corev3.HeaderValue{{Key: "x", RawValue: []byte("\xff")}}}}), authz.MalformedRequest, 400},
	} {
		t.Run(name, func(t *testing.T) {
			conn, l := serve(t, authz.Decision{Allowed: true}, nil)
			var response authv3.CheckResponse
			if err := conn.Invoke(t.Context(), authv3.Authorization_Check_FullMethodName, tc.message, &response, grpc.ForceCodec(rawCodec{})); err != nil {
				t.Fatalf("a gRPC error: %v", err)
			}
			denied := response.GetDeniedResponse()
			if response.GetStatus().GetCode() == 0 || denied == nil || int(denied.GetStatus().GetCode()) != tc.wantStatus {
				t.Errorf("response %v, want a denial with %d", &response, tc.wantStatus)
			}
			record := <-l.records
			if record.Decision.Reason != tc.wantReason || record.Err == nil {
				t.Errorf("recorded %q (%v), want %q", record.Decision.Reason, record.Err, tc.wantReason)
			}
		})
	}
}

// Only "cannot decide anything now" is a gRPC error.
func TestUnavailable(t *testing.T) {
	for _, reason := range []authz.Reason{authz.NotReady, authz.Overloaded} {
		conn, _ := serve(t, authz.Decision{}, &authz.Error{Reason: reason, Err: errors.New("x")})
		_, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/"}))
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v, want UNAVAILABLE", reason, err)
		}
	}
}

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

func TestResponse(t *testing.T) {
	option := func(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
		return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: action}
	}
	const overwrite, add = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
	header := func(name, value string) authz.Header { return authz.Header{Name: name, Value: value} }

	for name, tc := range map[string]struct {
		headers  map[string]string
		decision authz.Decision
		want     *authv3.CheckResponse
	}{
		"allow": {
			decision: authz.Decision{
				Allowed: true,
				Upstream: authz.Mutation{
					SetHeaders: []authz.Header{header("x-user", "ann")}, RemoveHeaders: []string{"authorization"},
					SetQuery: []authz.Parameter{{Name: "a b", Value: "c&d"}}, RemoveQuery: []string{"debug"},
				},
				Response: []authz.Header{header("x-policy", "1"), header("set-cookie", "a=b"), header("link", "x"), header("link", "y")},
			},
			want: &authv3.CheckResponse{
				Status: &rpcstatus.Status{},
				HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
					Headers:         []*corev3.HeaderValueOption{option("x-user", "ann", overwrite)},
					HeadersToRemove: []string{"authorization"},
					ResponseHeadersToAdd: []*corev3.HeaderValueOption{option("x-policy", "1", overwrite),
						option("set-cookie", "a=b", add), option("link", "x", add), option("link", "y", add)},
					QueryParametersToSet:    []*corev3.QueryParameter{{Key: "a%20b", Value: "c%26d"}},
					QueryParametersToRemove: []string{"debug"},
				}},
			},
		},
		"deny": {
			decision: authz.Decision{Status: 429, Body: "slow down", Denial: []authz.Header{header("retry-after", "1")}},
			want: deniedWith(codes.PermissionDenied, authz.PolicyDenied, 429, "slow down",
				option("retry-after", "1", overwrite)),
		},
		"deny a gRPC caller": {
			headers:  map[string]string{"content-type": "application/grpc+proto"},
			decision: authz.Decision{Status: 401},
			want: deniedWith(codes.Unauthenticated, authz.PolicyDenied, 401, "",
				option("www-authenticate", "Bearer", overwrite), option("grpc-status", "16", overwrite)),
		},
		"deny a gRPC caller with the policy's status": {
			headers:  map[string]string{"content-type": "application/grpc"},
			decision: authz.Decision{Status: 403, Denial: []authz.Header{header("grpc-status", "9")}},
			want:     deniedWith(codes.PermissionDenied, authz.PolicyDenied, 403, "", option("grpc-status", "9", overwrite)),
		},
		"metadata that cannot be written": {
			decision: authz.Decision{Allowed: true, Metadata: map[string]any{"x": "\xff"}},
			want:     deniedWith(codes.PermissionDenied, authz.Internal, 500, ""),
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.decision.Revision = "r1"
			conn, l := serve(t, tc.decision, nil)
			got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(),
				httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/", Headers: tc.headers}))
			if err != nil {
				t.Fatal(err)
			}
			tc.want.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{
				"decision_id": structpb.NewStringValue((<-l.records).ID), "revision": structpb.NewStringValue("r1")}}
			if diff := cmp.Diff(tc.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func deniedWith(code codes.Code, reason authz.Reason, httpStatus int32, body string, headers ...*corev3.HeaderValueOption) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(code), Message: string(reason)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: httpStatusOf(httpStatus), Body: body, Headers: headers,
		}},
	}
}

func TestPolicyMetadata(t *testing.T) {
	conn, l := serve(t, authz.Decision{Metadata: map[string]any{"tier": "gold", "decision_id": "forged"}}, nil)
	got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/"}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"tier": "gold", "decision_id": (<-l.records).ID, "revision": ""}
	if diff := cmp.Diff(want, got.GetDynamicMetadata().AsMap()); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// An answer nobody gave must not reach Envoy, which would read it as an allow (rule 3).
func TestDenyUnset(t *testing.T) {
	denial := &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{}}
	for name, answer := range map[string]*authv3.CheckResponse{
		"none":                        nil,
		"empty":                       {},
		"a denial without a status":   {HttpResponse: denial},
		"a denial with the status OK": {Status: &rpcstatus.Status{}, HttpResponse: denial},
	} {
		t.Run(name, func(t *testing.T) {
			register := func(registrar grpc.ServiceRegistrar) {
				authv3.RegisterAuthorizationServer(registrar, faulty{answer: answer})
			}
			conn := dial(t, register, grpc.UnaryInterceptor(envoy.DenyUnset))
			got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{})
			if err != nil || got.GetStatus().GetCode() == 0 || got.GetDeniedResponse().GetStatus().GetCode() != 500 {
				t.Errorf("response %v, error %v, want a denial with 500", got, err)
			}
		})
	}
}

type faulty struct {
	authv3.UnimplementedAuthorizationServer
	answer *authv3.CheckResponse
}

func (f faulty) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return f.answer, nil
}

func TestTimeout(t *testing.T) {
	l := &line{records: make(chan authz.Record, 1)}
	slow := slowDecider{}
	s := envoy.Server{Checker: &authz.Checker{Verifier: l, Decider: slow, Recorder: l}, Timeout: 1}
	conn := dial(t, s.Register, s.Options()...)
	got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/"}))
	if err != nil || got.GetDeniedResponse().GetStatus().GetCode() != 503 {
		t.Errorf("response %v, error %v, want a denial with 503", got, err)
	}
	if record := <-l.records; record.Decision.Reason != authz.Timeout {
		t.Errorf("reason %q", record.Decision.Reason)
	}
}

type slowDecider struct{}

func (slowDecider) Decide(ctx context.Context, _ *authz.Request, _ authz.Identity) (authz.Decision, error) {
	<-ctx.Done()
	return authz.Decision{Allowed: true}, nil
}
