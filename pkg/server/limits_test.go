package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/server"
)

// preface is how a client begins, with no settings (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// One connection too many is closed at once, and its place is free again when another ends. The limit
// may be raised while the server runs.
func TestConnections(t *testing.T) {
	var messages strings.Builder
	s, stop := start(t, server.Config{
		GRPC: loopback(), Load: server.Load{Connections: 1}, Logger: slog.New(slog.NewTextHandler(&messages, nil)),
	})
	dial := func() (net.Conn, error) {
		conn, err := net.Dial("tcp", s.GRPCAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write([]byte(preface)); err != nil {
			return conn, err
		}
		_, err = conn.Read(make([]byte, 1)) // of the server's settings
		return conn, err
	}
	first, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(); err == nil {
		t.Error("a second connection was taken")
	}
	s.SetLoad(server.Load{Connections: 2})
	second, err := dial()
	if err != nil {
		t.Errorf("a second connection, now that it is allowed: %v", err)
	}
	s.SetLoad(server.Load{Connections: 1})
	first.Close()
	second.Close()
	for {
		conn, err := dial()
		conn.Close()
		if err == nil {
			break
		}
	}
	stop()
	if !strings.Contains(messages.String(), "limits.connections") {
		t.Errorf("the log says %q", messages.String())
	}
}

func TestStreams(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	s, _ := start(t, server.Config{GRPC: loopback(), Limits: server.Limits{Streams: 1}, Register: slowService(entered, finish)})
	conn := connect(t, s.GRPCAddr().String(), insecure.NewCredentials())
	first := make(chan error, 1)
	go func() { first <- invokeSlow(conn) }()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a second call at once: %v", err)
	}
	finish <- struct{}{}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestHeaders(t *testing.T) {
	s, _ := start(t, server.Config{GRPC: loopback(), Limits: server.Limits{HeaderBytes: 10_000}})
	health := healthpb.NewHealthClient(connect(t, s.GRPCAddr().String(), insecure.NewCredentials()))
	for size, wantOK := range map[int]bool{5_000: true, 20_000: false} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-much", strings.Repeat("x", size))
		if _, err := health.Check(ctx, &healthpb.HealthCheckRequest{}); (err == nil) != wantOK {
			t.Errorf("%d bytes of metadata: %v", size, err)
		}
	}
}

// A connection ends at its age, give or take a tenth, and calls go on over another.
func TestConnectionAge(t *testing.T) {
	s, _ := start(t, server.Config{GRPC: loopback(), Limits: server.Limits{ConnectionAge: 300 * time.Millisecond}})
	conn := connect(t, s.GRPCAddr().String(), insecure.NewCredentials())
	health := healthpb.NewHealthClient(conn)
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	conn.WaitForStateChange(t.Context(), connectivity.Ready)
	if age := time.Since(begin); age > 10*time.Second {
		t.Errorf("closed after %s", age)
	}
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}

func TestReflection(t *testing.T) {
	for name, tc := range map[string]struct {
		on   bool
		want codes.Code
	}{
		"off": {false, codes.Unimplemented}, "on": {true, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := start(t, server.Config{GRPC: loopback(), Reflection: tc.on})
			stream, err := reflectionpb.NewServerReflectionClient(connect(t, s.GRPCAddr().String(), insecure.NewCredentials())).ServerReflectionInfo(t.Context(), grpc.WaitForReady(true))
			if err != nil {
				t.Fatal(err)
			}
			request := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
			if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			response, err := stream.Recv()
			if status.Code(err) != tc.want || tc.on && len(response.GetListServicesResponse().GetService()) == 0 {
				t.Errorf("%v, %v", response, err)
			}
		})
	}
}

// A check whose message never comes is ended, though its caller sets no deadline or a distant one.
func TestHalfOpen(t *testing.T) {
	s, _ := start(t, server.Config{
		GRPC: loopback(), Services: []string{"test.Slow"}, Load: server.Load{Time: 50 * time.Millisecond},
		Register: slowService(make(chan struct{}, 2), make(chan struct{})),
	})
	conn := connect(t, s.GRPCAddr().String(), insecure.NewCredentials())
	distant, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for name, ctx := range map[string]context.Context{"no deadline": t.Context(), "a distant one": distant} {
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/test.Slow/Call")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&healthpb.HealthCheckResponse{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%s: %v", name, err)
		}
	}
}
