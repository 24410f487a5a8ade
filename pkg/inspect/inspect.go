// Package inspect explains: a gRPC service for operators, sallyport.inspect.v1, on the admin listener.
//
//	Record   hears of every check (an authz.Recorder). It keeps a pointer in a bounded ring (ring.go)
//	         and offers it to who watches (watch.go): nothing is rendered on the path of a request,
//	         and without watchers there is one atomic load beside the ring
//	Explain  finds a decision by its id, or decides a described request, and tells how it came about
//	Watch    sends records as they are made; a slow watcher loses some, and is told how many
//	Policy   describes the policy that decides now
//
// Beside it is sallyport.inspect.v1.CandidateService, for the policy on trial (candidate.go).
//
// What leaves is rendered when it is asked for, in the masked format of the decision log. Who may ask
// is a rule of its own (access.go).
package inspect

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/authz"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// ServiceName is the service's name in gRPC.
const ServiceName = "sallyport.inspect.v1.InspectionService"

// A Config says whom to ask. All functions are required, and called concurrently.
type Config struct {
	// Line is a record as the decision log has it, without credentials.
	Line func(ctx context.Context, record *authz.Record) []byte

	// Check decides a request that nobody made, without a trace in logs and metrics.
	Check func(ctx context.Context, req *authz.Request) *authz.Record

	// Difference is a comparison in the same format.
	Difference func(*authz.Comparison) []byte

	// Explain evaluates the policy and tells how; the Evaluation beside an error holds what was found.
	Explain func(ctx context.Context, req *authz.Request, id authz.Identity) (*inspectv1.Evaluation, error)

	// WhatIf lists conditions on tokens, each of which would have allowed the request.
	WhatIf func(ctx context.Context, req *authz.Request, id authz.Identity) ([]string, error)

	// Policy describes the policy.
	Policy func() *inspectv1.PolicyResponse

	// Candidate answers for the policy on trial.
	Candidate Candidate

	// MaxBytes bounds the records that are remembered, three quarters of it for denials; 0 means 16 MiB.
	MaxBytes int

	Now func() time.Time // nil means time.Now
}

// A Service answers operators. It is an [authz.Recorder].
type Service struct {
	config          Config
	denials, allows ring

	watchers atomic.Pointer[[]*watcher] // nil where nobody watches
	changing sync.Mutex                 // held while watchers is replaced
	explains chan struct{}              // a place for each Explain that runs
}

// New makes a service.
func New(config Config) *Service {
	if config.MaxBytes == 0 {
		config.MaxBytes = 16 << 20
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Service{config: config, explains: make(chan struct{}, mostExplains)}
	s.allows.maxBytes = config.MaxBytes / 4
	s.denials.maxBytes = config.MaxBytes - s.allows.maxBytes
	return s
}

// Record implements [authz.Recorder]. It never fails.
func (s *Service) Record(ctx context.Context, record *authz.Record) error {
	if record.Decision.Allowed {
		s.allows.add(record)
	} else {
		s.denials.add(record)
	}
	if watchers := s.watchers.Load(); watchers != nil {
		for _, w := range *watchers {
			if !w.filter.GetDifferences() {
				w.offer(ctx, seen{record: record})
			}
		}
	}
	return nil
}

// Server is a gRPC server with the two services alone, that answers only who may ask.
func (s *Service) Server() *grpc.Server {
	server := grpc.NewServer(grpc.UnaryInterceptor(onlyOperators), grpc.StreamInterceptor(onlyOperatorsStream))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*any)(nil),
		Metadata:    "sallyport/inspect/v1/inspect.proto",
		Methods: []grpc.MethodDesc{
			{MethodName: "Explain", Handler: unary(s.explain)},
			{MethodName: "Policy", Handler: unary(s.policy)},
		},
		Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, Handler: s.watch}},
	}, nil)
	server.RegisterService(s.candidateService(), nil)
	return server
}

// unary is what protoc-gen-go-grpc would write.
func unary[In, Out any](answer func(context.Context, *In) (*Out, error)) grpc.MethodHandler {
	return func(server any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(In)
		if err := decode(in); err != nil {
			return nil, err
		}
		call := func(ctx context.Context, _ any) (any, error) { return answer(ctx, in) }
		return intercept(ctx, in, &grpc.UnaryServerInfo{Server: server}, call)
	}
}

func (s *Service) policy(context.Context, *inspectv1.PolicyRequest) (*inspectv1.PolicyResponse, error) {
	if out := s.config.Policy(); out != nil {
		return out, nil
	}
	return nil, status.Error(codes.Unavailable, "there is no policy yet")
}
