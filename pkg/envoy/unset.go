package envoy

import (
	"context"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/pkg/authz"
)

// DenyUnset is a [grpc.UnaryServerInterceptor] that turns an answer nobody gave into a denial.
// Envoy reads a missing status as OK, whatever else the response says, so an empty CheckResponse
// would be an allow; so would a status OK around a denied_response.
func DenyUnset(ctx context.Context, in any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	out, err := handler(ctx, in)
	if err != nil || info.FullMethod != authv3.Authorization_Check_FullMethodName {
		return out, err
	}
	response, ok := out.(*authv3.CheckResponse)
	if !ok || response.GetStatus() == nil || response.GetDeniedResponse() != nil && response.GetStatus().GetCode() == 0 {
		return respond(&authz.Request{}, authz.Decision{Reason: authz.Internal, Status: 500}), nil
	}
	return response, nil
}
