package envoy_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
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

func (l *line) Record(_ context.Context, r *authz.Record) error {
	l.records <- *r
	return nil
}

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
			envoytest.Raw(attributes(field(4, []byte("/a\xff")))), authz.MalformedRequest, 400},
		"no protobuf": {envoytest.Raw("\xff\xff\xff"), authz.MalformedRequest, 400},
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
			if err := conn.Invoke(t.Context(), authv3.Authorization_Check_FullMethodName, tc.message, &response, grpc.ForceCodec(envoytest.RawCodec{})); err != nil {
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

// A panic that the Checker did not see denies, and the server goes on.
func TestPanicDenies(t *testing.T) {
	l := &line{records: make(chan authz.Record, 10)}
	s := envoy.Server{Checker: &authz.Checker{Verifier: l, Decider: l, Recorder: l}}
	panics := func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		panic("planted") //nolint:forbidigo // what the server must survive
	}
	conn := dial(t, s.Register, append(s.Options(), grpc.ChainUnaryInterceptor(panics))...)
	for range 2 {
		got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{})
		if err != nil || got.GetDeniedResponse().GetStatus().GetCode() != 500 || strings.Contains(got.String(), "planted") {
			t.Errorf("response %v, error %v, want a denial with 500", got, err)
		}
	}
}

// An answer that protobuf cannot write denies: as a gRPC error it would be an allow to
// failure_mode_allow.
func TestAnswerThatCannotBeWrittenDenies(t *testing.T) {
	conn, _ := serve(t, authz.Decision{Allowed: true, Upstream: authz.Mutation{SetHeaders: []authz.Header{{Name: "x", Value: "\xff"}}}}, nil)
	got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/"}))
	if err != nil || got.GetDeniedResponse().GetStatus().GetCode() != 500 {
		t.Errorf("response %v, error %v, want a denial with 500", got, err)
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

// TestClientHeader: an interceptor sees the client's headers, however Envoy sends them, and nothing
// of a request that cannot be read.
func TestClientHeader(t *testing.T) {
	raw := func(values ...string) *authv3.CheckRequest {
		headers := new(corev3.HeaderMap)
		for _, value := range values {
			headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: "Traceparent", RawValue: []byte(value)})
		}
		return httpCheck(&authv3.AttributeContext_HttpRequest{Method: "GET", Path: "/", HeaderMap: headers})
	}
	for name, tc := range map[string]struct {
		in   *authv3.CheckRequest
		want string
	}{
		"joined":     {httpCheck(&authv3.AttributeContext_HttpRequest{Method: "GET", Path: "/", Headers: map[string]string{"traceparent": "a"}}), "a"},
		"raw":        {raw("a"), "a"},
		"twice":      {raw("a", "b"), "a,b"},
		"absent":     {httpCheck(&authv3.AttributeContext_HttpRequest{Method: "GET", Path: "/"}), ""},
		"no HTTP":    {&authv3.CheckRequest{Attributes: &authv3.AttributeContext{}}, ""},
		"unreadable": {&authv3.CheckRequest{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := &line{records: make(chan authz.Record, 1)}
			s := envoy.Server{Checker: &authz.Checker{Verifier: l, Decider: l, Recorder: l}}
			got := make(chan string, 1)
			look := func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
				check, ok := in.(interface{ ClientHeader(name string) string })
				if !ok {
					t.Errorf("an interceptor sees %T", in)
					return handle(ctx, in)
				}
				got <- check.ClientHeader("traceparent")
				return handle(ctx, in)
			}
			conn := dial(t, s.Register, append(s.Options(), grpc.ChainUnaryInterceptor(look))...)
			if _, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), tc.in); err != nil {
				t.Fatal(err)
			}
			if header := <-got; header != tc.want {
				t.Errorf("%q, want %q", header, tc.want)
			}
		})
	}
}
