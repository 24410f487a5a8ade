package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A collector receives spans, by OTLP over gRPC and over HTTP at one address.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer
	addr net.Addr
	grpc *grpc.Server

	mu    sync.Mutex
	spans []span
	grown chan struct{} // closed by the next export
}

// A span is one of a service.
type span struct {
	*tracepb.Span
	service string
}

// startCollector starts one, and tells Sallyport's telemetry of it.
func startCollector(t *testing.T, protocol string) *collector {
	t.Helper()
	listener := listen(t)
	c := &collector{addr: listener.Addr(), grpc: grpc.NewServer(), grown: make(chan struct{})}
	collectorpb.RegisterTraceServiceServer(c.grpc, c)
	serveHTTP(t, listener, c)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.addr.String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		c.grpc.ServeHTTP(w, r)
		return
	}
	text, err := io.ReadAll(r.Body)
	var in collectorpb.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(text, &in) != nil {
		http.Error(w, "no spans", http.StatusBadRequest)
		return
	}
	c.keep(&in)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Export implements OTLP over gRPC.
func (c *collector) Export(_ context.Context, in *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.keep(in)
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

func (c *collector) keep(in *collectorpb.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range in.GetResourceSpans() {
		service := attribute(resource.GetResource().GetAttributes(), "service.name").GetStringValue()
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span{Span: s, service: service})
			}
		}
	}
	close(c.grown)
	c.grown = make(chan struct{})
}

// await waits for a number of spans that are the ones wanted.
func (c *collector) await(t *testing.T, number int, wanted func(span) bool) []span {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		var found []span
		c.mu.Lock()
		for _, s := range c.spans {
			if wanted(s) {
				found = append(found, s)
			}
		}
		all, grown := len(c.spans), c.grown
		c.mu.Unlock()
		if len(found) >= number {
			return found
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("%d spans came of %d, beside %d others", len(found), number, all-len(found))
		}
	}
}

func attribute(attributes []*commonpb.KeyValue, name string) *commonpb.AnyValue {
	for _, a := range attributes {
		if a.GetKey() == name {
			return a.GetValue()
		}
	}
	return nil
}
