// Package server listens: gRPC for Envoy's checks and their health, HTTP for the operator.
//
//	New      binds the listeners, so that a taken port fails the start
//	Serve    answers until its context ends, then drains: health says NOT_SERVING, what runs is
//	         finished within DrainTimeout, and both listeners are closed
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// A Config says where to listen and what to serve.
type Config struct {
	GRPC  Address
	Admin Address // the zero Address turns the admin listener off
	TLS   *TLS    // of the gRPC listener; nil: plaintext

	Register func(grpc.ServiceRegistrar) // adds the gRPC services
	Services []string                    // their names, for the health service
	Options  []grpc.ServerOption

	// Ready says why the server is not ready, nil where it is; shown at /readyz of the admin listener.
	Ready func() error

	Metrics http.Handler // at /metrics of the admin listener; nil: none
	Inspect http.Handler // for gRPC calls on the admin listener, with an access rule of its own; nil: none

	DrainTimeout time.Duration // 0: 10 s
	Logger       *slog.Logger
}

// An Address is where to listen, in the words of [net.Listen].
type Address struct {
	Network string // tcp or unix
	Address string // host:port, or the path of a socket
}

// A Server has its listeners bound.
type Server struct {
	cfg    Config
	grpc   net.Listener
	admin  net.Listener // nil where turned off
	server *grpc.Server
	health *health.Server
}

// New binds the listeners. The caller must call Serve, which closes them.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = 10 * time.Second
	}
	options, err := options(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, server: grpc.NewServer(options...), health: health.NewServer()}
	healthpb.RegisterHealthServer(s.server, s.health)
	cfg.Register(s.server)

	if s.grpc, err = listen(ctx, cfg.GRPC); err != nil {
		return nil, fmt.Errorf("server: listen.grpc: %w", err)
	}
	if cfg.Admin == (Address{}) {
		return s, nil
	}
	if s.admin, err = listen(ctx, cfg.Admin); err != nil {
		return nil, fmt.Errorf("server: listen.admin: %w", errors.Join(err, s.grpc.Close()))
	}
	return s, nil
}

// options suit Envoy: it keeps one connection per worker thread open for ever and may ping every
// few seconds, which grpc-go punishes by default; a bounded age spreads it over new replicas.
func options(cfg Config) ([]grpc.ServerOption, error) {
	out := append([]grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 30 * time.Minute, MaxConnectionAgeGrace: time.Minute}),
	}, cfg.Options...)
	if cfg.TLS == nil {
		return out, nil
	}
	tlsConfig, err := cfg.TLS.config()
	if err != nil {
		return nil, err
	}
	return append(out, grpc.Creds(credentials.NewTLS(tlsConfig))), nil
}

// GRPCAddr is where checks are answered: useful where the port was 0.
func (s *Server) GRPCAddr() net.Addr { return s.grpc.Addr() }

// AdminAddr is where the operator looks, or nil where that is turned off.
func (s *Server) AdminAddr() net.Addr {
	if s.admin == nil {
		return nil
	}
	return s.admin.Addr()
}

// Serve answers until ctx ends and has then drained, or until a listener fails.
func (s *Server) Serve(ctx context.Context) error {
	for _, service := range append([]string{""}, s.cfg.Services...) {
		s.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return ignoreClosed(s.server.Serve(s.grpc)) })
	group.Go(func() error { <-ctx.Done(); s.drain(); return nil })
	if s.admin != nil {
		admin := &http.Server{Handler: s.adminHandler(), ReadHeaderTimeout: 5 * time.Second, Protocols: adminProtocols()}
		group.Go(func() error { return ignoreClosed(admin.Serve(s.admin)) })
		group.Go(func() error { <-ctx.Done(); return admin.Close() })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// drain lets running checks finish, and cancels those that take longer than DrainTimeout.
func (s *Server) drain() {
	s.health.Shutdown()
	timer := time.AfterFunc(s.cfg.DrainTimeout, s.server.Stop)
	defer timer.Stop()
	s.server.GracefulStop()
}

// listen binds an address. A socket file that nobody listens on any more is the rest of a process
// that was killed, and is replaced.
func listen(ctx context.Context, address Address) (net.Listener, error) {
	if address.Network == "unix" {
		if err := removeStale(ctx, address.Address); err != nil {
			return nil, err
		}
	}
	var config net.ListenConfig
	return config.Listen(ctx, address.Network, address.Address)
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil //nolint:nilerr // Listen says what is wrong with the path
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("another process listens on %s", path), conn.Close())
	}
	return os.Remove(path)
}
