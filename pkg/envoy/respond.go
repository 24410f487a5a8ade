package envoy

import (
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/pkg/authz"
)

// respond writes a decision the way Envoy reads it. Metadata that is no JSON cannot be written, and
// denies: only a Decider that breaks its contract returns such.
func respond(req *authz.Request, d authz.Decision) *authv3.CheckResponse {
	metadata, err := dynamicMetadata(d)
	switch {
	case err != nil:
		return denied(req, authz.Decision{Reason: authz.Internal, Status: 500}, metadata)
	case d.Allowed:
		return allowed(req, d, metadata)
	}
	return denied(req, d, metadata)
}

func allowed(req *authz.Request, d authz.Decision, metadata *structpb.Struct) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers:                 upstreamHeaders(d.Upstream.SetHeaders),
			HeadersToRemove:         d.Upstream.RemoveHeaders,
			ResponseHeadersToAdd:    clientHeaders(d.Response),
			QueryParametersToSet:    setParameters(d.Upstream),
			QueryParametersToRemove: removedParameters(req, d.Upstream),
		}},
		DynamicMetadata: metadata,
	}
}

func denied(req *authz.Request, d authz.Decision, metadata *structpb.Struct) *authv3.CheckResponse {
	code := codes.PermissionDenied
	if d.Status == 401 {
		code = codes.Unauthenticated
	}
	headers := d.Denial
	if status := grpcStatus(req, d); status != "" {
		headers = append(slices.Clip(headers), authz.Header{Name: "grpc-status", Value: status})
	}
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(code), Message: string(d.Reason)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(d.Status)}, //nolint:gosec // 300 to 599
			Headers: clientHeaders(headers),
			Body:    d.Body,
		}},
		DynamicMetadata: metadata,
	}
}

// dynamicMetadata is what Envoy keeps under the filter's name, for its access log and for later
// filters: the policy's, and always decision_id and the policy's revision.
func dynamicMetadata(d authz.Decision) (*structpb.Struct, error) {
	metadata, err := structpb.NewStruct(d.Metadata)
	if err != nil {
		metadata = &structpb.Struct{Fields: map[string]*structpb.Value{}}
	}
	metadata.Fields["decision_id"] = structpb.NewStringValue(d.ID)
	metadata.Fields["revision"] = structpb.NewStringValue(d.Revision)
	return metadata, err
}

// upstreamHeaders always overwrite, so that what the client sent under the same name is gone.
// Released Envoys look at the deprecated append (unset: overwrite), 1.37.0 at append_action, whose
// zero value appends: this is the one form that is safe on all of them.
func upstreamHeaders(headers []authz.Header) []*corev3.HeaderValueOption {
	out := make([]*corev3.HeaderValueOption, 0, len(headers))
	for _, h := range headers {
		out = append(out, option(h, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
	}
	return out
}

// clientHeaders overwrite too, but for a name that comes more than once and for cookies, of which
// the upstream may have set others.
func clientHeaders(headers []authz.Header) []*corev3.HeaderValueOption {
	count := make(map[string]int, len(headers))
	for _, h := range headers {
		count[h.Name]++
	}
	out := make([]*corev3.HeaderValueOption, 0, len(headers))
	for _, h := range headers {
		action := corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		if count[h.Name] > 1 || h.Name == "set-cookie" {
			action = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
		}
		out = append(out, option(h, action))
	}
	return out
}

func option(h authz.Header, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: h.Name, Value: h.Value},
		AppendAction: action,
	}
}

// grpcStatus is the status that a gRPC caller sees instead of the HTTP status, "" for other
// callers and where the policy set one. Envoy's own mapping knows only some statuses, and makes
// INTERNAL of 400.
func grpcStatus(req *authz.Request, d authz.Decision) string {
	if req.HTTP == nil || !strings.HasPrefix(req.HTTP.Headers.Joined("content-type"), "application/grpc") {
		return ""
	}
	for _, h := range d.Denial {
		if h.Name == "grpc-status" {
			return ""
		}
	}
	return strconv.Itoa(int(grpcCode(d.Status)))
}

func grpcCode(httpStatus int) codes.Code {
	switch httpStatus {
	case 400:
		return codes.InvalidArgument
	case 401:
		return codes.Unauthenticated
	case 404:
		return codes.NotFound
	case 413, 429:
		return codes.ResourceExhausted
	case 500:
		return codes.Internal
	case 502, 503:
		return codes.Unavailable
	case 504:
		return codes.DeadlineExceeded
	}
	return codes.PermissionDenied
}
