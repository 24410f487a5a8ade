// Package server listens: gRPC for Envoy's checks and their health, HTTP for the operator.
//
//	New      binds the listeners, so that a taken port fails the start
//	Serve    answers until its context ends, then drains: health says NOT_SERVING, for DrainDelay
//	         everything is answered as before, what runs then is finished within DrainTimeout, and
//	         both listeners are closed
//
// On the way of a check stand, from cheap to dear: the number of connections (connections.go), TLS
// with certificates that are read again when they change (tls.go, certificates.go, handshakes.go), and, before a
// stream has a goroutine or a message, the admission (admission.go), which turns away what would
// wait too long.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// A Config says where to listen and what to serve.
type Config struct {
	GRPC     Address
	Admin    Address // the zero Address turns the admin listener off
	TLS      *TLS    // of the gRPC listener; nil: plaintext
	AdminTLS *TLS    // of the admin listener; nil: plaintext
	Socket   Socket  // of listeners on Unix sockets

	Register   func(grpc.ServiceRegistrar) // adds the gRPC services
	Services   []string                    // their names, for health; their calls pass the admission
	Options    []grpc.ServerOption
	Reflection bool // tells clients which services there are

	// Ready says why the server cannot decide, nil where it can. It is what health and /readyz say,
	// and is asked often.
	Ready func() error
	// Trouble says what is wrong though the server decides, nil where nothing is; shown at /readyz.
	Trouble func() error

	Metrics http.Handler // at /metrics of the admin listener; nil: none
	Inspect http.Handler // for gRPC calls on the admin listener, with an access rule of its own; nil: none

	Limits Limits
	Load   Load // may be changed later: see [Server.SetLoad]

	DrainDelay   time.Duration // 0: none
	DrainTimeout time.Duration // 0: 10 s
	Logger       *slog.Logger  // nil: slog.Default

	Now func() time.Time // nil: time.Now
}

// Limits bound what connections may ask for.
type Limits struct {
	Streams       uint32        // at once on a connection; 0: 1024
	HeaderBytes   uint32        // of a call's metadata; 0: 64 KiB
	ConnectionAge time.Duration // after which a connection is asked to end, give or take a tenth; 0: 30 min
}

// An Address is where to listen, in the words of [net.Listen].
type Address struct {
	Network string // tcp or unix
	Address string // host:port, or the path of a socket
}

// A Server has its listeners bound.
type Server struct {
	cfg       Config
	grpc      *limited
	admin     net.Listener // nil where turned off
	server    *grpc.Server
	health    *health
	admission *admission
	draining  atomic.Bool
}

// New binds the listeners. The caller must call Serve, which closes them.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, admission: newAdmission(cfg.Services, cfg.Now)}
	options, err := s.options()
	if err != nil {
		return nil, err
	}
	s.server = grpc.NewServer(options...)
	s.health = newHealth(s.ready, append([]string{""}, cfg.Services...))
	healthpb.RegisterHealthServer(s.server, s.health)
	cfg.Register(s.server)
	if cfg.Reflection {
		reflection.Register(s.server)
	}
	return s, s.bind(ctx)
}

func (s *Server) bind(ctx context.Context) error {
	listener, err := listen(ctx, s.cfg.GRPC, s.cfg.Socket)
	if err != nil {
		return fmt.Errorf("server: listen.grpc: %w", err)
	}
	s.grpc = &limited{Listener: listener, logger: s.cfg.Logger}
	s.SetLoad(s.cfg.Load)
	if s.cfg.Admin == (Address{}) {
		return nil
	}
	if s.admin, err = s.listenAdmin(ctx); err != nil {
		return errors.Join(err, s.grpc.Close())
	}
	return nil
}

// options suit Envoy: it keeps one connection per worker thread open for ever and may ping every
// second, which grpc-go punishes by default; a bounded age, to which grpc-go adds up to a tenth
// either way, spreads connections over new replicas.
func (s *Server) options() ([]grpc.ServerOption, error) {
	limits := s.cfg.Limits
	out := append([]grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 500 * time.Millisecond, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: cmp.Or(limits.ConnectionAge, 30*time.Minute), MaxConnectionAgeGrace: time.Minute,
			Time: time.Minute, Timeout: 20 * time.Second, // a peer that is gone without a word
		}),
		grpc.ConnectionTimeout(10 * time.Second), // for the TLS and HTTP/2 handshakes
		grpc.MaxConcurrentStreams(cmp.Or(limits.Streams, 1024)),
		grpc.MaxHeaderListSize(cmp.Or(limits.HeaderBytes, 64<<10)),
		// Goroutines that serve one call after another keep the stack that a policy needs: growing it anew
		// was an eighth of the time of a check. Where all are busy, a call gets a goroutine of its own.
		grpc.NumStreamWorkers(uint32(16 * runtime.GOMAXPROCS(0))), //nolint:gosec // some thousands at most
		grpc.InTapHandle(s.admission.tap),
		grpc.ChainUnaryInterceptor(s.admission.intercept),
	}, s.cfg.Options...)
	if s.cfg.TLS == nil {
		return out, nil
	}
	config, err := s.cfg.TLS.config(&certificates{setting: "listen.tls", protocols: []string{"h2"}, logger: s.cfg.Logger, now: s.cfg.Now})
	if err != nil {
		return nil, err
	}
	return append(out, grpc.Creds(&handshakes{
		TransportCredentials: credentials.NewTLS(config), setting: "listen.tls", logger: s.cfg.Logger, now: s.cfg.Now,
	})), nil
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

// SetLoad changes what load is taken, from the next check and the next connection on.
func (s *Server) SetLoad(load Load) {
	s.admission.set(load)
	s.grpc.most.Store(int64(cmp.Or(load.Connections, 8192)))
}

// Shed counts the checks that were turned away because there was too much to do.
func (s *Server) Shed() uint64 { return s.admission.shed.Load() }

// Serve answers until ctx ends and has then drained, or until a listener fails.
func (s *Server) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	drained := make(chan struct{})
	group.Go(func() error { s.health.run(ctx); return nil })
	group.Go(func() error { return ignoreClosed(s.server.Serve(s.grpc)) })
	group.Go(func() error { <-ctx.Done(); s.drain(); close(drained); return nil })
	if s.admin != nil {
		admin := s.adminServer()
		group.Go(func() error { return ignoreClosed(admin.Serve(s.admin)) })
		group.Go(func() error { <-drained; return admin.Close() })
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

// ready is what health says.
func (s *Server) ready() error {
	if s.draining.Load() {
		return errors.New("server: draining")
	}
	return s.cfg.Ready()
}

// drain says NOT_SERVING, goes on for DrainDelay so that those who ask have time to hear it, lets
// running checks finish, and cancels those that take longer than DrainTimeout.
func (s *Server) drain() {
	s.draining.Store(true)
	s.health.Shutdown()
	if s.cfg.DrainDelay > 0 {
		s.cfg.Logger.Info("draining", "delay", s.cfg.DrainDelay)
		<-time.After(s.cfg.DrainDelay)
	}
	close(s.health.over)
	timer := time.AfterFunc(cmp.Or(s.cfg.DrainTimeout, 10*time.Second), s.server.Stop)
	defer timer.Stop()
	s.server.GracefulStop()
}
