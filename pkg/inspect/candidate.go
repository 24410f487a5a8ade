package inspect

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/authz"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// CandidateServiceName is the name of the service for the policy on trial.
const CandidateServiceName = "sallyport.inspect.v1.CandidateService"

// A Candidate answers for the policy on trial. All functions are required, and called concurrently.
type Candidate struct {
	// Status sums up what was compared.
	Status func() *inspectv1.StatusResponse

	// MayChange says why a caller must not promote and drop; nil where he may. To look is no right to
	// change what decides.
	MayChange func(Caller) error

	// Promote lets the candidate of a revision decide, and Drop ends it. An error says what is missing.
	Promote func(by Caller, revision string) (*inspectv1.PromoteResponse, error)
	Drop    func(by Caller) (*inspectv1.DropResponse, error)
}

// candidateService describes it to gRPC.
func (s *Service) candidateService() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: CandidateServiceName,
		HandlerType: (*any)(nil),
		Metadata:    "sallyport/inspect/v1/candidate.proto",
		Methods: []grpc.MethodDesc{
			{MethodName: "Status", Handler: unary(s.trial)},
			{MethodName: "Promote", Handler: unary(s.promote)},
			{MethodName: "Drop", Handler: unary(s.drop)},
		},
	}
}

func (s *Service) trial(context.Context, *inspectv1.StatusRequest) (*inspectv1.StatusResponse, error) {
	return s.config.Candidate.Status(), nil
}

func (s *Service) promote(ctx context.Context, in *inspectv1.PromoteRequest) (*inspectv1.PromoteResponse, error) {
	by, err := s.changer(ctx)
	if err != nil {
		return nil, err
	}
	out, err := s.config.Candidate.Promote(by, in.GetCandidateRevision())
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return out, nil
}

func (s *Service) drop(ctx context.Context, _ *inspectv1.DropRequest) (*inspectv1.DropResponse, error) {
	by, err := s.changer(ctx)
	if err != nil {
		return nil, err
	}
	out, err := s.config.Candidate.Drop(by)
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return out, nil
}

// changer is the caller, where he may change what decides.
func (s *Service) changer(ctx context.Context) (Caller, error) {
	by, err := callerOf(ctx)
	if err != nil {
		return Caller{}, err
	}
	if err := s.config.Candidate.MayChange(by); err != nil {
		return Caller{}, status.Error(codes.PermissionDenied, err.Error())
	}
	return by, nil
}

// Differs hears of a difference between a candidate and what was decided, and offers it to who watches
// for those.
func (s *Service) Differs(c *authz.Comparison) {
	if watchers := s.watchers.Load(); watchers != nil {
		for _, w := range *watchers {
			if w.filter.GetDifferences() {
				w.offer(context.Background(), seen{record: c.Record, differs: c})
			}
		}
	}
}
