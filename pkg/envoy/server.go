// Package envoy speaks envoy.service.auth.v3.Authorization: it reads a CheckRequest into an
// [authz.Request], asks the [authz.Checker], and writes the [authz.Decision] as a CheckResponse.
// No other package knows Envoy's API.
//
// Envoy reads an answer in ways that surprise, so answers are made by two constructors alone
// (see respond.go) and pass [DenyUnset] on their way out:
//
//   - A response without a status is an allow.
//   - A gRPC error is no denial: where an operator sets failure_mode_allow it is an allow. So
//     every input, however broken, gets a denial as a response. Only "this server cannot decide
//     anything now" ([authz.NotReady], [authz.Overloaded]) is a gRPC error, UNAVAILABLE.
package envoy

import (
	"context"
	"errors"
	"fmt"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/sallyport/sallyport/pkg/authz"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ServiceName is the service that Envoy calls, also the name it asks the health of.
const ServiceName = "envoy.service.auth.v3.Authorization"

// A Server answers checks. Its fields are set before Register.
type Server struct {
	Checker *authz.Checker

	// MaxBodyBytes is the largest request body that is looked at; a larger one is refused with
	// 413. 0 means 1 MiB. It has to cover max_request_bytes of Envoy's with_request_body.
	MaxBodyBytes int

	// Timeout is our own ceiling on a check, beside the deadline that Envoy sends (Envoy's
	// default is 200 ms, Envoy Gateway's 10 s, Istio's 600 s). 0 means 5 s.
	Timeout time.Duration
}

// headerRoom is what a CheckRequest may hold beside the body: Envoy takes at most 60 KiB of
// headers by default and 8 MiB by configuration, and certificates and metadata come on top.
const headerRoom = 1 << 20

// MaxMessageBytes is the largest CheckRequest to receive, for [grpc.MaxRecvMsgSize].
func (s *Server) MaxMessageBytes() int { return s.maxBodyBytes() + headerRoom }

func (s *Server) maxBodyBytes() int {
	if s.MaxBodyBytes == 0 {
		return 1 << 20
	}
	return s.MaxBodyBytes
}

func (s *Server) timeout() time.Duration {
	if s.Timeout == 0 {
		return 5 * time.Second
	}
	return s.Timeout
}

// Register adds the service to a gRPC server.
//
// The method is unary, and is served as a stream of one message: the two are the same on the
// wire, and this way a message that grpc-go cannot decode (a string that is not UTF-8,
// CVE-2023-27488; one that is too large) fails in our hands, as a denial, and not before them,
// as a gRPC error. It costs no more CPU per check than the unary way.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	registrar.RegisterService(&grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*any)(nil),
		Metadata:    "envoy/service/auth/v3/external_auth.proto",
		Streams: []grpc.StreamDesc{{
			StreamName: "Check",
			Handler:    func(_ any, stream grpc.ServerStream) error { return s.check(stream) },
		}},
	}, nil)
}

func (s *Server) check(stream grpc.ServerStream) error {
	var in authv3.CheckRequest
	received := stream.RecvMsg(&in)
	if stream.Context().Err() != nil {
		return status.FromContextError(stream.Context().Err()).Err() // nobody waits for an answer
	}
	ctx, cancel := context.WithTimeout(stream.Context(), s.timeout())
	defer cancel()

	req := s.read(&in, received)
	decision := s.Checker.Check(ctx, req)
	if decision.Reason == authz.NotReady || decision.Reason == authz.Overloaded {
		return status.Error(codes.Unavailable, string(decision.Reason))
	}
	return stream.SendMsg(respond(req, decision))
}

// read never fails: what cannot be read is the request's fault, and denied by the Checker.
func (s *Server) read(in *authv3.CheckRequest, received error) (req *authz.Request) {
	if received != nil {
		return &authz.Request{Fault: unreadable(received)}
	}
	defer func() {
		if recover() != nil {
			req = &authz.Request{Fault: &authz.Error{
				Reason: authz.Internal, Err: errors.New("envoy: panic while reading the CheckRequest")}}
		}
	}()
	return extract(in, s.maxBodyBytes())
}

// unreadable keeps only the code of err: its text may quote the message.
func unreadable(err error) error {
	reason := authz.MalformedRequest
	if status.Code(err) == codes.ResourceExhausted {
		reason = authz.RequestTooLarge
	}
	return &authz.Error{Reason: reason, Err: fmt.Errorf("envoy: receive CheckRequest: %s", status.Code(err))}
}
