package inspect_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/inspect"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

func service(maxBytes int) *inspect.Service {
	return inspect.New(inspect.Config{
		MaxBytes: maxBytes,
		Line: func(_ context.Context, r *authz.Record) []byte {
			return fmt.Appendf(nil, `{"decision_id": %q, "allowed": %v}`, r.ID, r.Decision.Allowed)
		},
		Explain: func(context.Context, *authz.Request, authz.Identity) (*inspectv1.Evaluation, error) {
			return &inspectv1.Evaluation{}, nil
		},
		WhatIf: func(context.Context, *authz.Request, authz.Identity) ([]string, error) { return nil, nil },
		Policy: func() *inspectv1.PolicyResponse { return nil },
	})
}

// dial serves on an address, and connects.
func dial(t *testing.T, s *inspect.Service, address string) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("no such address here: %v", err)
	}
	server := s.Server()
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func record(id string, allowed bool, size int) *authz.Record {
	return &authz.Record{ID: id, Request: &authz.Request{MessageBytes: size}, Decision: authz.Decision{Allowed: allowed}}
}

func explain(t *testing.T, conn *grpc.ClientConn, id string) codes.Code {
	t.Helper()
	in := &inspectv1.ExplainRequest{Subject: &inspectv1.ExplainRequest_DecisionId{DecisionId: id}}
	return status.Code(conn.Invoke(t.Context(), "/"+inspect.ServiceName+"/Explain", in, &inspectv1.ExplainResponse{}))
}

// TestRemembers holds that what is remembered is bounded in bytes, and that allows push out no denial.
func TestRemembers(t *testing.T) {
	s := service(1 << 20)
	conn := dial(t, s, "127.0.0.1:0")
	add := func(id string, allowed bool, size int) {
		if err := s.Record(t.Context(), record(id, allowed, size)); err != nil {
			t.Fatal(err)
		}
	}
	add("denied", false, 1000)
	for i := range 1000 {
		add(fmt.Sprint("allowed", i), true, 1000)
	}
	add("huge", false, 1<<20)
	for id, want := range map[string]codes.Code{
		"denied": codes.OK, "allowed999": codes.OK, "allowed950": codes.OK,
		"allowed0": codes.NotFound, "huge": codes.NotFound, "never": codes.NotFound, "": codes.InvalidArgument,
	} {
		if got := explain(t, conn, id); got != want {
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
	for i := range 200 {
		add(fmt.Sprint("later", i), false, 10_000)
	}
	if got := explain(t, conn, "denied"); got != codes.NotFound {
		t.Errorf("a denial that there is no room for: %v", got)
	}
}

// TestSlowWatcher holds that a watcher who does not read holds up no check, loses records and is told.
func TestSlowWatcher(t *testing.T) {
	s := service(0)
	conn := dial(t, s, "127.0.0.1:0")
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/"+inspect.ServiceName+"/Watch")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&inspectv1.WatchRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	const many = 50_000
	for i := range many {
		if err := s.Record(t.Context(), record(fmt.Sprint(i), true, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	for range many {
		out := &inspectv1.WatchResponse{}
		if err := stream.RecvMsg(out); err != nil {
			t.Fatal(err)
		}
		if out.GetLost() > 0 {
			return
		}
	}
	t.Errorf("nothing was lost of %d records", many)
}

// TestAccess holds that only this machine may ask without a certificate.
func TestAccess(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range append(addresses, &net.IPNet{IP: net.IPv4(127, 0, 0, 1)}) {
		ip, ok := address.(*net.IPNet)
		if !ok || ip.IP.IsLinkLocalUnicast() {
			continue
		}
		want := codes.PermissionDenied
		if ip.IP.IsLoopback() {
			want = codes.NotFound
		}
		if got := explain(t, dial(t, service(0), net.JoinHostPort(ip.IP.String(), "0")), "x"); got != want {
			t.Errorf("from %v: %v, want %v", ip.IP, got, want)
		}
	}
}

// BenchmarkRecord is the cost on the path of a request, where nobody watches.
func BenchmarkRecord(b *testing.B) {
	s, ctx, r := service(0), b.Context(), record("x", true, 1000)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Record(ctx, r)
	}
}
