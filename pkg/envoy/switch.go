package envoy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// A Switch answers checks by one Server, which another may replace at any moment. A check is answered
// by one of them from beginning to end.
type Switch struct{ current atomic.Pointer[Server] }

// NewSwitch begins with a server.
func NewSwitch(first *Server) *Switch {
	s := &Switch{}
	s.current.Store(first)
	return s
}

// Replace lets next answer the checks that come from now on, and waits until those of the server
// before it are answered, or ctx ends.
func (s *Switch) Replace(ctx context.Context, next *Server) error {
	before := s.current.Swap(next)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for before.running.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("envoy: %d checks are still running: %w", before.running.Load(), ctx.Err())
		}
	}
	return nil
}

// enter notes that a check runs, on a server that is not being replaced.
func (s *Switch) enter() *Server {
	for {
		server := s.current.Load()
		server.running.Add(1)
		if s.current.Load() == server {
			return server
		}
		server.running.Add(-1)
	}
}

// Register adds the service to a gRPC server made with [Server.Options].
func (s *Switch) Register(registrar grpc.ServiceRegistrar) {
	registrar.RegisterService(&grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*any)(nil),
		Metadata:    "envoy/service/auth/v3/external_auth.proto",
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: s.handle}},
	}, nil)
}

//nolint:revive // grpc.MethodHandler has the context second
func (s *Switch) handle(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	server := s.enter()
	defer server.running.Add(-1)
	return server.handle(ctx, decode, intercept)
}
