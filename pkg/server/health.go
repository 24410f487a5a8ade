package server

import (
	"context"
	"time"

	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// healthInterval is how late a client that watches hears of a change. One that asks, as Envoy does,
// hears what is true now.
const healthInterval = time.Second

// A health says over grpc.health.v1 whether the server can decide.
type health struct {
	*grpchealth.Server
	ready    func() error
	services []string
	over     chan struct{} // closed when nothing more will be told
}

func newHealth(ready func() error, services []string) *health {
	return &health{Server: grpchealth.NewServer(), ready: ready, services: services, over: make(chan struct{})}
}

// Check implements the health service.
func (h *health) Check(ctx context.Context, in *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	h.refresh()
	return h.Server.Check(ctx, in)
}

// Watch implements the health service. It ends with the draining, which would else wait for whoever
// watches.
func (h *health) Watch(in *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		select {
		case <-h.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return h.Server.Watch(in, watcher{stream, ctx})
}

// A watcher is the stream of one who watches, with an end.
type watcher struct {
	healthpb.Health_WatchServer
	ctx context.Context //nolint:containedctx // a stream has one
}

// Context implements [grpc.ServerStream].
func (w watcher) Context() context.Context { return w.ctx }

// run tells those who watch, until ctx ends.
func (h *health) run(ctx context.Context) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		h.refresh()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *health) refresh() {
	status := healthpb.HealthCheckResponse_SERVING
	if h.ready() != nil {
		status = healthpb.HealthCheckResponse_NOT_SERVING
	}
	for _, service := range h.services {
		h.SetServingStatus(service, status)
	}
}
