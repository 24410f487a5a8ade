package envoy

import (
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/sallyport/sallyport/pkg/authz"
	"google.golang.org/grpc"
)

// DenyUnset is a [grpc.StreamServerInterceptor] that turns an answer nobody gave into a denial.
// Envoy reads a missing status as OK, whatever else the response says, so an empty CheckResponse
// would be an allow; so would a status OK around a denied_response.
func DenyUnset(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, denyUnset{stream})
}

type denyUnset struct{ grpc.ServerStream }

func (s denyUnset) SendMsg(message any) error {
	response, isCheck := message.(*authv3.CheckResponse)
	if isCheck && (response.GetStatus() == nil || response.GetDeniedResponse() != nil && response.GetStatus().GetCode() == 0) {
		message = respond(&authz.Request{}, authz.Decision{Reason: authz.Internal, Status: 500})
	}
	return s.ServerStream.SendMsg(message)
}
