package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	kind "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A plainAuthz answers checks by their path, as a server could that takes no care.
type plainAuthz struct {
	auth.UnimplementedAuthorizationServer
	answers map[string]*auth.CheckResponse
	marks   chan string  // of bodies that were cut, or not
	errors  atomic.Int64 // gRPC errors answered: to every other path
}

// Check implements the service.
func (p *plainAuthz) Check(_ context.Context, in *auth.CheckRequest) (*auth.CheckResponse, error) {
	http := in.GetAttributes().GetRequest().GetHttp()
	for _, h := range http.GetHeaderMap().GetHeaders() {
		if h.GetKey() == "x-envoy-auth-partial-body" {
			p.marks <- string(h.GetRawValue())
		}
	}
	path, _, _ := strings.Cut(http.GetPath(), "?")
	if answer, ok := p.answers[path]; ok {
		return answer, nil
	}
	if path == "/error" {
		return nil, grpcstatus.Error(codes.PermissionDenied, "a gRPC error")
	}
	p.errors.Add(1)
	return nil, grpcstatus.Error(codes.Unavailable, "a gRPC error")
}

func startPlainAuthz(t *testing.T, answers map[string]*auth.CheckResponse) (*plainAuthz, net.Addr) {
	t.Helper()
	p := &plainAuthz{answers: answers, marks: make(chan string, 1)}
	return p, startAuthz(t, p)
}

// startAuthz serves an authorization service that is always healthy.
func startAuthz(t *testing.T, service auth.AuthorizationServer) net.Addr {
	t.Helper()
	listener := listen(t)
	server := grpc.NewServer()
	auth.RegisterAuthorizationServer(server, service)
	healthy := health.NewServer()
	healthy.SetServingStatus("envoy.service.auth.v3.Authorization", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, healthy)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr()
}

func ok(headers ...*core.HeaderValueOption) *auth.CheckResponse {
	return &auth.CheckResponse{
		Status:       &status.Status{},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{Headers: headers}},
	}
}

func denied(headers ...*core.HeaderValueOption) *auth.CheckResponse {
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &kind.HttpStatus{Code: 403}, Headers: headers,
		}},
	}
}

func option(name, value string, change ...func(*core.HeaderValueOption)) *core.HeaderValueOption {
	o := &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}}
	for _, c := range change {
		c(o)
	}
	return o
}

func appended(o *core.HeaderValueOption) {
	o.Append = wrapperspb.Bool(true) //nolint:staticcheck // old servers set it
}

func overwriting(o *core.HeaderValueOption) {
	o.AppendAction = core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
}

func adding(o *core.HeaderValueOption) {
	o.AppendAction = core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
}

func ifAbsent(o *core.HeaderValueOption) { o.AppendAction = core.HeaderValueOption_ADD_IF_ABSENT }

// What Envoy makes of answers, where its documentation is silent or other versions were said to
// differ. These are facts about Envoy and not about Sallyport; deploy/envoy/README.md tells them.
func TestEnvoyFacts(t *testing.T) {
	p, addr := startPlainAuthz(t, map[string]*auth.CheckResponse{
		"/unsaid":         ok(option("x-user", "decided")),
		"/overwriting":    ok(option("x-user", "decided", overwriting)),
		"/if-absent":      ok(option("x-user", "decided", ifAbsent)),
		"/appended":       ok(option("x-user", "decided", appended)),
		"/no-status":      {},
		"/denied-as-ok":   {HttpResponse: denied().GetHttpResponse()},
		"/two-cookies":    denied(option("set-cookie", "a=1"), option("set-cookie", "b=2")),
		"/adding-cookies": denied(option("set-cookie", "a=1", adding), option("set-cookie", "b=2", adding)),
		"/append-cookie":  denied(option("set-cookie", "a=1"), option("set-cookie", "b=2", appended)),
		"/limit":          ok(),
	})
	m := startMesh(t, setup{config: "routes.yaml", authz: addr, edits: []edit{{"max_request_bytes: 1048576", "max_request_bytes: 1000"}}})
	forged := http.Header{"X-User": {"forged", "twice"}}
	m.each(t, []exchange{
		{name: "a header without an action overwrites", path: "/unsaid", header: forged, wantStatus: 200, wantUpstream: http.Header{"X-User": {"decided"}}},
		{name: "a header with the action of Sallyport overwrites", path: "/overwriting", header: forged, wantStatus: 200, wantUpstream: http.Header{"X-User": {"decided"}}},
		{name: "no action but append is looked at", path: "/if-absent", header: forged, wantStatus: 200, wantUpstream: http.Header{"X-User": {"decided"}}},
		{name: "append leaves what the client sent", path: "/appended", header: forged, wantStatus: 200, wantUpstream: http.Header{"X-User": {"forged,decided", "twice"}}},
		{name: "append of what is not there does nothing", path: "/appended", wantStatus: 200, wantUpstream: http.Header{"X-User": nil}},
		{name: "an empty answer allows", path: "/no-status", header: forged, wantStatus: 200, wantUpstream: http.Header{"X-User": {"forged", "twice"}}},
		{name: "a denial without a status allows", path: "/denied-as-ok", wantStatus: 200},
		{name: "a denial's headers may repeat", path: "/two-cookies", wantStatus: 403, wantHeader: http.Header{"Set-Cookie": {"a=1", "b=2"}}},
		{name: "whatever the action is", path: "/adding-cookies", wantStatus: 403, wantHeader: http.Header{"Set-Cookie": {"a=1", "b=2"}}},
		{name: "append loses a denial's header", path: "/append-cookie", wantStatus: 403, wantHeader: http.Header{"Set-Cookie": {"a=1"}}},
		{name: "a gRPC error is no denial, whatever its code", path: "/error", wantStatus: 503},
	})
	for size, want := range map[int]string{999: "false", 1000: "false", 1001: "true"} {
		for kind, body := range map[string]io.Reader{"of known length": strings.NewReader(padded(size, "")), "chunked": io.MultiReader(strings.NewReader(padded(size, "")))} {
			t.Run(fmt.Sprintf("a body of %d, %s, of 1000 at most", size, kind), func(t *testing.T) {
				exchange{path: "/limit"}.sendFrom(t, http1(), m.url, body)
				if got := <-p.marks; got != want {
					t.Errorf("marked %q, want %q", got, want)
				}
			})
		}
	}
}
