package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// A gRPC caller cannot read an HTTP status: a denial has to arrive as a gRPC status.
func TestEnvoyGRPC(t *testing.T) {
	m, conn := startGRPCMesh(t, setup{config: "routes.yaml"})

	clerk := "Bearer " + m.token(t, map[string]any{"roles": []string{"clerk"}})
	reader := "Bearer " + m.token(t, nil)
	expired := "Bearer " + m.token(t, map[string]any{"iat": 1, "exp": 2})
	for _, tc := range []struct {
		name        string
		metadata    []string
		service     string
		wantCode    codes.Code
		wantMessage string
	}{
		{name: "admitted", metadata: []string{"authorization", clerk}, wantCode: codes.OK},
		{
			// What the upstream itself says is not changed.
			name: "admitted, and refused by the upstream", metadata: []string{"authorization", clerk}, service: "other",
			wantCode: codes.NotFound, wantMessage: "unknown service",
		},
		{name: "no token", wantCode: codes.Unauthenticated},
		{name: "a role that does not suffice", metadata: []string{"authorization", reader}, wantCode: codes.PermissionDenied},
		{
			name: "expired", metadata: []string{"authorization", expired},
			wantCode: codes.Unauthenticated, wantMessage: "the token has expired",
		},
		{
			name: "two tokens in one place", metadata: []string{"authorization", clerk, "authorization", clerk},
			wantCode: codes.InvalidArgument, wantMessage: "the request carries more than one credential",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), tc.metadata...), patience)
			defer cancel()
			_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: tc.service})
			if got := status.Convert(err); got.Code() != tc.wantCode || got.Message() != tc.wantMessage {
				t.Errorf("got %v %q, want %v %q", got.Code(), got.Message(), tc.wantCode, tc.wantMessage)
			}
		})
	}
}

// Policy sees the message that a caller sends, also where it is compressed.
func TestEnvoyGRPCBody(t *testing.T) {
	set := &descriptorpb.FileDescriptorSet{
		File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(healthpb.File_grpc_health_v1_health_proto)},
	}
	raw, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "health.pb")
	writeText(t, file, string(raw))
	_, conn := startGRPCMesh(t, setup{config: "grpc.yaml", settings: []edit{{"health.pb", file}}})
	for _, tc := range []struct {
		name     string
		service  string
		options  []grpc.CallOption
		wantCode codes.Code
	}{
		{name: "admitted", service: "public", wantCode: codes.NotFound}, // the upstream's answer
		{name: "denied", service: "secret", wantCode: codes.PermissionDenied},
		{name: "denied, empty", wantCode: codes.PermissionDenied},
		{name: "admitted, compressed", service: "public", options: []grpc.CallOption{grpc.UseCompressor(gzip.Name)}, wantCode: codes.NotFound},
		{name: "denied, compressed", service: "secret", options: []grpc.CallOption{grpc.UseCompressor(gzip.Name)}, wantCode: codes.PermissionDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: tc.service}, tc.options...)
			if got := status.Code(err); got != tc.wantCode {
				t.Errorf("got %v: %v, want %v", got, err, tc.wantCode)
			}
		})
	}
}

// startGRPCMesh has a health service as the upstream, and a connection to Envoy.
func startGRPCMesh(t *testing.T, s setup) (*mesh, *grpc.ClientConn) {
	t.Helper()
	listener := listen(t)
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })

	upstream := "  - name: upstream  # your service\n"
	s.upstream, s.edits = listener.Addr(), append(s.edits, edit{upstream, upstream + speaksHTTP2})
	m := startMesh(t, s)
	conn, err := grpc.NewClient(strings.TrimPrefix(m.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return m, conn
}

// speaksHTTP2 is what the cluster of an upstream needs that speaks gRPC.
const speaksHTTP2 = `    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
`
