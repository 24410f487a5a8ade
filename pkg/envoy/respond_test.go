package envoy_test

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/pkg/authz"
)

func TestResponse(t *testing.T) {
	option := func(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
		return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: action}
	}
	const overwrite, add = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
	header := func(name, value string) authz.Header { return authz.Header{Name: name, Value: value} }

	for name, tc := range map[string]struct {
		headers  map[string]string
		decision authz.Decision
		want     *authv3.CheckResponse
	}{
		"allow": {
			decision: authz.Decision{
				Allowed: true,
				Upstream: authz.Mutation{
					SetHeaders: []authz.Header{header("x-user", "ann")}, RemoveHeaders: []string{"authorization"},
					SetQuery: []authz.Parameter{{Name: "a b", Value: "c&d"}}, RemoveQuery: []string{"debug"},
				},
				Response: []authz.Header{header("x-policy", "1"), header("set-cookie", "a=b"), header("link", "x"), header("link", "y")},
			},
			want: &authv3.CheckResponse{
				Status: &rpcstatus.Status{},
				HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
					Headers:         []*corev3.HeaderValueOption{option("x-user", "ann", overwrite)},
					HeadersToRemove: []string{"authorization"},
					ResponseHeadersToAdd: []*corev3.HeaderValueOption{option("x-policy", "1", overwrite),
						option("set-cookie", "a=b", add), option("link", "x", add), option("link", "y", add)},
					QueryParametersToSet:    []*corev3.QueryParameter{{Key: "a%20b", Value: "c%26d"}},
					QueryParametersToRemove: []string{"debug"},
				}},
			},
		},
		"deny": {
			decision: authz.Decision{Status: 429, Body: "slow down", Denial: []authz.Header{header("retry-after", "1")}},
			want: deniedWith(codes.PermissionDenied, authz.PolicyDenied, 429, "slow down",
				option("retry-after", "1", overwrite)),
		},
		"deny a gRPC caller": {
			headers:  map[string]string{"content-type": "application/grpc+proto"},
			decision: authz.Decision{Status: 401},
			want: deniedWith(codes.Unauthenticated, authz.PolicyDenied, 401, "",
				option("www-authenticate", "Bearer", overwrite), option("grpc-status", "16", overwrite)),
		},
		"deny a gRPC caller with the policy's status": {
			headers:  map[string]string{"content-type": "application/grpc"},
			decision: authz.Decision{Status: 403, Denial: []authz.Header{header("grpc-status", "9")}},
			want:     deniedWith(codes.PermissionDenied, authz.PolicyDenied, 403, "", option("grpc-status", "9", overwrite)),
		},
		"metadata that cannot be written": {
			decision: authz.Decision{Allowed: true, Metadata: map[string]any{"x": "\xff"}},
			want:     deniedWith(codes.PermissionDenied, authz.Internal, 500, ""),
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.decision.Revision = "r1"
			conn, l := serve(t, tc.decision, nil)
			got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(),
				httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/", Headers: tc.headers}))
			if err != nil {
				t.Fatal(err)
			}
			tc.want.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{
				"decision_id": structpb.NewStringValue((<-l.records).ID), "revision": structpb.NewStringValue("r1")}}
			if diff := cmp.Diff(tc.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func deniedWith(code codes.Code, reason authz.Reason, httpStatus int32, body string, headers ...*corev3.HeaderValueOption) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(code), Message: string(reason)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: httpStatusOf(httpStatus), Body: body, Headers: headers,
		}},
	}
}

func TestPolicyMetadata(t *testing.T) {
	conn, l := serve(t, authz.Decision{Metadata: map[string]any{"tier": "gold", "decision_id": "forged"}}, nil)
	got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), httpCheck(&authv3.AttributeContext_HttpRequest{Path: "/"}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"tier": "gold", "decision_id": (<-l.records).ID, "revision": ""}
	if diff := cmp.Diff(want, got.GetDynamicMetadata().AsMap()); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}
