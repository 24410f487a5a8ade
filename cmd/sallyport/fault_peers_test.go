package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// preface is how a client of HTTP/2 begins, with no settings (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// 10,000 connections are opened beside Envoy's, which say hello and nothing more: those beyond
// limits.connections are closed at once, and the crowd notices nothing.
func TestEnvoyFaultConnections(t *testing.T) {
	t.Parallel()
	number, most := 10_000, 8192
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(number)+500 {
		fmt.Fprintf(os.Stderr, "\n*** %s: only %d files may be open: as many connections fewer\n", t.Name(), limit.Cur)
		number, most = int(limit.Cur)/2, int(limit.Cur)/3
	}
	s := startSite(t, plan{settings: []edit{{"limits: {", fmt.Sprintf("limits: {connections: %d, ", most)}}})
	i := s.instances[0]
	before := i.resident(t)
	files := i.files(t)
	var conns []net.Conn
	closed := 0
	s.during(t, fmt.Sprintf("%d connections", number), nil, func() {
		for range number {
			conn, err := net.Dial("tcp", i.grpc.String())
			if err != nil {
				t.Fatal(err)
			}
			conn.Write([]byte(preface))
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			conn.SetReadDeadline(time.Now().Add(patience))
			if _, err := conn.Read(make([]byte, 1)); err != nil { // of the server's settings
				closed++
			}
		}
	})
	t.Logf("%d of %d were closed at once; resident memory %d MiB, then %d MiB", closed, number, before, i.resident(t))
	if open := number - closed; open > most || open < most-100 {
		t.Errorf("%d are open, limits.connections is %d", open, most)
	}
	s.during(t, "they end", nil, func() {
		for _, conn := range conns {
			conn.Close()
		}
		until(t, "the instance lets go of them", func() bool { return i.files(t) < files+20 })
	})
}

// Callers begin checks whose message never comes. They are ended after request.timeout and five seconds, and
// until then cost nobody anything but memory.
func TestEnvoyFaultHalfOpenStreams(t *testing.T) {
	t.Parallel()
	s := startSite(t, plan{settings: []edit{{"limits: {", "request: {timeout: 1s}\nlimits: {"}}})
	i := s.instances[0]
	before := i.resident(t)
	const connections, streams = 4, 500
	s.during(t, fmt.Sprintf("%d half-open streams", connections*streams), nil, func() {
		var open []grpc.ClientStream
		begin := time.Now()
		for range connections {
			conn := dialInstance(t, i)
			for range streams {
				stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, auth.Authorization_Check_FullMethodName)
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, stream)
			}
		}
		t.Logf("resident memory %d MiB, before %d MiB", i.resident(t), before)
		for _, stream := range open {
			if err := stream.RecvMsg(&auth.CheckResponse{}); status.Code(err) != codes.DeadlineExceeded {
				t.Fatalf("a half-open stream: %v", err)
			}
		}
		t.Logf("the last ended %s after the first began", time.Since(begin).Round(time.Millisecond))
	})
}

// Callers ask and do not read the answers.
func TestEnvoyFaultSlowReaders(t *testing.T) {
	t.Parallel()
	s := startSite(t, plan{})
	i := s.instances[0]
	before := i.resident(t)
	connections, checks := 20, 500
	var deaf atomic.Bool
	s.during(t, fmt.Sprintf("%d connections that do not read the answers to %d checks each", connections, checks), nil, func() {
		var conns []*grpc.ClientConn
		for range connections {
			conn := dialInstance(t, i, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
				return deafConn{Conn: conn, deaf: &deaf, over: t.Context().Done()}, err
			}))
			if _, err := auth.NewAuthorizationClient(conn).Check(t.Context(), &auth.CheckRequest{}); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		asked := i.metric(t, "sallyport_checks_total")
		deaf.Store(true)
		for _, conn := range conns {
			for range checks {
				stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, auth.Authorization_Check_FullMethodName)
				if err == nil {
					err = stream.SendMsg(&auth.CheckRequest{})
				}
				if err == nil {
					err = stream.CloseSend()
				}
				if err != nil && !errors.Is(err, io.EOF) {
					t.Error(err)
				}
			}
		}
		until(t, "their checks are decided", func() bool { return i.metric(t, "sallyport_checks_total") > asked+float64(connections*checks/2) })
		t.Logf("resident memory %d MiB, before %d MiB", i.resident(t), before)
	})
}

// A deafConn is one that is not read from, once it is deaf.
type deafConn struct {
	net.Conn
	deaf *atomic.Bool
	over <-chan struct{}
}

// Read implements [net.Conn].
func (c deafConn) Read(p []byte) (int, error) {
	if c.deaf.Load() {
		<-c.over
	}
	return c.Conn.Read(p)
}

func dialInstance(t *testing.T, i *instance, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(i.grpc.String(), append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
