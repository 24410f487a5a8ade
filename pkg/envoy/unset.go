package envoy

import (
	"context"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/pkg/authz"
)

// DenyUnset is a [grpc.UnaryServerInterceptor] that turns an answer nobody gave into a denial.
// Envoy reads a missing status as OK, whatever else the response says, so an empty CheckResponse
// would be an allow; so would a status OK around a denied_response. A panic within, which the Checker
// did not see, gives no answer either, and would end the process.
func DenyUnset(ctx context.Context, in any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (out any, err error) {
	if info.FullMethod != authv3.Authorization_Check_FullMethodName {
		return handler(ctx, in)
	}
	defer func() {
		if recover() != nil {
			out, err = failed(), nil
		}
	}()
	out, err = handler(ctx, in)
	if err != nil {
		return out, err
	}
	response, ok := out.(*authv3.CheckResponse)
	if !ok || response.GetStatus() == nil || response.GetDeniedResponse() != nil && response.GetStatus().GetCode() == 0 {
		return failed(), nil
	}
	return response, nil
}

// failed is the answer where there is none.
func failed() *authv3.CheckResponse {
	return respond(&authz.Request{}, authz.Decision{Reason: authz.Internal, Status: 500})
}
