package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/server"
)

func loopback() server.Address { return server.Address{Network: "tcp", Address: "127.0.0.1:0"} }

// start serves cfg until the test or stop ends it.
func start(t *testing.T, cfg server.Config) (*server.Server, func()) {
	t.Helper()
	if cfg.Register == nil {
		cfg.Register = func(grpc.ServiceRegistrar) {}
	}
	s, err := server.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func connect(t *testing.T, target string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestTakenPort(t *testing.T) {
	s, _ := start(t, server.Config{GRPC: loopback()})
	taken := server.Address{Network: "tcp", Address: s.GRPCAddr().String()}
	for name, cfg := range map[string]server.Config{
		"listen.grpc":  {GRPC: taken},
		"listen.admin": {GRPC: loopback(), Admin: taken},
	} {
		cfg.Register = func(grpc.ServiceRegistrar) {}
		if _, err := server.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v does not name the setting", name, err)
		}
	}
}

// A call that runs when the server is told to stop is finished; one that hangs is cut off.
func TestDrain(t *testing.T) {
	for name, tc := range map[string]struct {
		hangs    bool
		wantCode codes.Code
	}{
		"finished": {false, codes.OK},
		"cut off":  {true, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			entered, finish := make(chan struct{}), make(chan struct{})
			s, stop := start(t, server.Config{GRPC: loopback(), DrainTimeout: 100 * time.Millisecond, Register: slowService(entered, finish)})
			conn := connect(t, s.GRPCAddr().String(), insecure.NewCredentials())
			result := make(chan error, 1)
			go func() { result <- invokeSlow(conn) }()
			<-entered
			if !tc.hangs {
				finish <- struct{}{}
			}
			stop()
			if err := <-result; status.Code(err) != tc.wantCode {
				t.Errorf("the running call ended with %v, want %v", err, tc.wantCode)
			}
		})
	}
}

func slowService(entered, finish chan struct{}) func(grpc.ServiceRegistrar) {
	return func(registrar grpc.ServiceRegistrar) {
		registrar.RegisterService(&grpc.ServiceDesc{
			ServiceName: "test.Slow", HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
				if err := decode(&healthpb.HealthCheckRequest{}); err != nil {
					return nil, err
				}
				return intercept(ctx, nil, nil, func(ctx context.Context, _ any) (any, error) {
					entered <- struct{}{}
					select {
					case <-finish:
					case <-ctx.Done():
					}
					return &healthpb.HealthCheckResponse{}, nil
				})
			}}},
		}, nil)
	}
}
