// Package telemetrytest is a real little receiver of OpenTelemetry, for tests: it takes traces,
// metrics and logs by OTLP, over gRPC and over HTTP at one address on loopback, and keeps them.
package telemetrytest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	logscollector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A Receiver keeps what it is sent. Its methods may be called concurrently.
type Receiver struct {
	listener net.Listener
	server   *http.Server
	grpc     *grpc.Server
	done     chan struct{}

	mu    sync.Mutex
	kept  Kept
	grown chan struct{} // closed by the next export
}

// Kept is what came.
type Kept struct {
	Spans   []Span
	Metrics []*metricspb.Metric // each export of each
	Logs    []*logspb.LogRecord
}

// A Span is one of a service.
type Span struct {
	*tracepb.Span
	Service string
}

// Start starts a Receiver on a free port. The caller must close it.
func Start(ctx context.Context) (*Receiver, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("telemetrytest: %w", err)
	}
	r := &Receiver{listener: listener, grpc: grpc.NewServer(), done: make(chan struct{}), grown: make(chan struct{})}
	tracecollector.RegisterTraceServiceServer(r.grpc, traces{to: r})
	metricscollector.RegisterMetricsServiceServer(r.grpc, metrics{to: r})
	logscollector.RegisterLogsServiceServer(r.grpc, logs{to: r})
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	r.server.Protocols.SetHTTP1(true)
	r.server.Protocols.SetUnencryptedHTTP2(true)
	go func() {
		defer close(r.done)
		r.server.Serve(listener) //nolint:errcheck // it ends with Close, and its error says so
	}()
	return r, nil
}

// Close ends it.
func (r *Receiver) Close() error {
	err := r.server.Close()
	<-r.done
	return err
}

// Addr is where it listens.
func (r *Receiver) Addr() net.Addr { return r.listener.Addr() }

// URL is the value for OTEL_EXPORTER_OTLP_ENDPOINT.
func (r *Receiver) URL() string { return "http://" + r.Addr().String() }

// Kept is what came so far.
func (r *Receiver) Kept() Kept {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept
}

// Await waits until what came is enough, or ctx ends.
func (r *Receiver) Await(ctx context.Context, enough func(Kept) bool) (Kept, error) {
	for {
		r.mu.Lock()
		kept, grown := r.kept, r.grown
		r.mu.Unlock()
		if enough(kept) {
			return kept, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return kept, fmt.Errorf("telemetrytest: %d spans, %d metrics and %d logs came, which is not enough: %w",
				len(kept.Spans), len(kept.Metrics), len(kept.Logs), ctx.Err())
		}
	}
}

// ServeHTTP implements [http.Handler].
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
		r.grpc.ServeHTTP(w, req)
		return
	}
	text, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, "not read", http.StatusBadRequest)
		return
	}
	switch req.URL.Path {
	case "/v1/traces":
		err = keep(r, text, new(tracecollector.ExportTraceServiceRequest), r.keepTraces)
	case "/v1/metrics":
		err = keep(r, text, new(metricscollector.ExportMetricsServiceRequest), r.keepMetrics)
	case "/v1/logs":
		err = keep(r, text, new(logscollector.ExportLogsServiceRequest), r.keepLogs)
	default:
		http.NotFound(w, req)
		return
	}
	if err != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func keep[M proto.Message](r *Receiver, text []byte, into M, with func(M)) error {
	if err := proto.Unmarshal(text, into); err != nil {
		return err
	}
	r.grow(func() { with(into) })
	return nil
}

// grow adds to what is kept, and wakes who waits.
func (r *Receiver) grow(add func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add()
	close(r.grown)
	r.grown = make(chan struct{})
}

func (r *Receiver) keepTraces(in *tracecollector.ExportTraceServiceRequest) {
	for _, resource := range in.GetResourceSpans() {
		service := Attribute(resource.GetResource().GetAttributes(), "service.name").GetStringValue()
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				r.kept.Spans = append(r.kept.Spans, Span{Span: span, Service: service})
			}
		}
	}
}

func (r *Receiver) keepMetrics(in *metricscollector.ExportMetricsServiceRequest) {
	for _, resource := range in.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			r.kept.Metrics = append(r.kept.Metrics, scope.GetMetrics()...)
		}
	}
}

func (r *Receiver) keepLogs(in *logscollector.ExportLogsServiceRequest) {
	for _, resource := range in.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			r.kept.Logs = append(r.kept.Logs, scope.GetLogRecords()...)
		}
	}
}

// Attribute is the value of an attribute; nil where there is none of the name.
func Attribute(attributes []*commonpb.KeyValue, name string) *commonpb.AnyValue {
	for _, a := range attributes {
		if a.GetKey() == name {
			return a.GetValue()
		}
	}
	return nil
}

// traces is the service of OTLP over gRPC.
type traces struct {
	tracecollector.UnimplementedTraceServiceServer
	to *Receiver
}

// Export implements the service.
func (s traces) Export(_ context.Context, in *tracecollector.ExportTraceServiceRequest) (*tracecollector.ExportTraceServiceResponse, error) {
	s.to.grow(func() { s.to.keepTraces(in) })
	return &tracecollector.ExportTraceServiceResponse{}, nil
}

// metrics is the service of OTLP over gRPC.
type metrics struct {
	metricscollector.UnimplementedMetricsServiceServer
	to *Receiver
}

// Export implements the service.
func (s metrics) Export(_ context.Context, in *metricscollector.ExportMetricsServiceRequest) (*metricscollector.ExportMetricsServiceResponse, error) {
	s.to.grow(func() { s.to.keepMetrics(in) })
	return &metricscollector.ExportMetricsServiceResponse{}, nil
}

// logs is the service of OTLP over gRPC.
type logs struct {
	logscollector.UnimplementedLogsServiceServer
	to *Receiver
}

// Export implements the service.
func (s logs) Export(_ context.Context, in *logscollector.ExportLogsServiceRequest) (*logscollector.ExportLogsServiceResponse, error) {
	s.to.grow(func() { s.to.keepLogs(in) })
	return &logscollector.ExportLogsServiceResponse{}, nil
}
