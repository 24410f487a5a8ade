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
	"sync/atomic"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/pkg/authz"
)

// ServiceName is the service that Envoy calls, also the name it asks the health of.
const ServiceName = "envoy.service.auth.v3.Authorization"

// A Server answers checks. Its fields are set before Register.
type Server struct {
	Checker *authz.Checker

	// MaxBodyBytes is the largest request body that is looked at; a larger one is refused with
	// 413. 0 means 1 MiB. It should equal max_request_bytes of Envoy's with_request_body: only
	// then is a body noticed that Envoy cut at exactly that size.
	MaxBodyBytes int

	// Timeout is our own ceiling on a check, beside the deadline that Envoy sends (Envoy's
	// default is 200 ms, Envoy Gateway's 10 s, Istio's 600 s). 0 means 5 s.
	Timeout time.Duration

	running atomic.Int64 // checks
}

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

// Options are what the gRPC server needs to serve checks: see [codec] and [DenyUnset].
func (s *Server) Options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}),
		grpc.MaxRecvMsgSize(max(receiveLimit, s.maxBodyBytes()+headerRoom)),
		grpc.ChainUnaryInterceptor(DenyUnset),
	}
}

// Register adds the service to a gRPC server made with [Server.Options].
func (s *Server) Register(registrar grpc.ServiceRegistrar) { NewSwitch(s).Register(registrar) }

// handle is what protoc-gen-go-grpc would write, for our own message.
func (s *Server) handle(ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	in := message{limit: s.maxBodyBytes() + headerRoom}
	if err := decode(&in); err != nil {
		return nil, err
	}
	in.request = s.read(&in)
	in.request.MessageBytes = len(in.text)
	check := func(ctx context.Context, _ any) (any, error) { return s.check(ctx, in.request) }
	if intercept == nil {
		return check(ctx, &in)
	}
	info := &grpc.UnaryServerInfo{Server: s, FullMethod: authv3.Authorization_Check_FullMethodName}
	return intercept(ctx, &in, info, check)
}

func (s *Server) check(ctx context.Context, req *authz.Request) (*authv3.CheckResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()

	decision := s.Checker.Check(ctx, req)
	if decision.Reason == authz.NotReady || decision.Reason == authz.Overloaded {
		return nil, status.Error(codes.Unavailable, string(decision.Reason))
	}
	return respond(req, decision), nil
}

// read never fails: what cannot be read is the request's fault, and denied by the Checker.
func (s *Server) read(in *message) (req *authz.Request) {
	if in.fault != nil {
		return &authz.Request{Fault: in.fault}
	}
	defer func() {
		if recover() != nil {
			req = &authz.Request{Fault: &authz.Error{
				Reason: authz.Internal, Err: errors.New("envoy: panic while reading the CheckRequest")}}
		}
	}()
	if req, ok := decode(in.text, s.maxBodyBytes()); ok {
		return req
	}
	var request authv3.CheckRequest
	if err := protobuf.Unmarshal([]byte(in.text), &request); err != nil {
		// The decoder's own error may quote what it could not read.
		return &authz.Request{Fault: malformed("no valid protobuf, or a string that is not UTF-8")}
	}
	return extract(&request, s.maxBodyBytes())
}
