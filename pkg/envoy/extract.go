package envoy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sallyport/sallyport/pkg/authz"
)

// extract reads a CheckRequest. Where that fails, the request holds what could be read and the Fault.
// It is the reading that counts; decode is a faster way to the same for what Envoy usually sends.
func extract(in *authv3.CheckRequest, maxBodyBytes int) *authz.Request {
	attributes := in.GetAttributes()
	if attributes == nil {
		return &authz.Request{Fault: malformed("no attributes")}
	}
	req := &authz.Request{
		Source:            peer(attributes.GetSource()),
		Destination:       peer(attributes.GetDestination()),
		ContextExtensions: attributes.GetContextExtensions(),
		FilterMetadata:    metadata(attributes.GetMetadataContext()),
		RouteMetadata:     metadata(attributes.GetRouteMetadataContext()),
		Time:              requestTime(attributes.GetRequest()),
	}
	if session := attributes.GetTlsSession(); session != nil {
		req.TLSSession = &authz.TLSSession{SNI: session.GetSni()}
	}
	if http := attributes.GetRequest().GetHttp(); http != nil {
		req.HTTP, req.Fault = extractHTTP(http, maxBodyBytes)
	}
	return req
}

// requestTime is the zero time where Envoy set none, which is not the Unix epoch.
func requestTime(request *authv3.AttributeContext_Request) time.Time {
	if request.GetTime() == nil {
		return time.Time{}
	}
	return request.GetTime().AsTime()
}

func extractHTTP(in *authv3.AttributeContext_HttpRequest, maxBodyBytes int) (*authz.HTTP, error) {
	path, pathErr := authz.ParsePath(in.GetPath())
	out := &authz.HTTP{
		ID:         in.GetId(),
		Method:     in.GetMethod(),
		Scheme:     in.GetScheme(),
		Host:       in.GetHost(),
		Path:       path,
		Query:      in.GetQuery(),
		Fragment:   in.GetFragment(),
		Protocol:   in.GetProtocol(),
		Size:       in.GetSize(),
		RawHeaders: rawHeaders(in.GetHeaderMap()),
		Body:       in.GetBody(),
		RawBody:    in.GetRawBody(),
	}
	size := max(len(out.Body), len(out.RawBody))
	out.BodyFull = size == maxBodyBytes
	var headersErr error
	out.Headers, headersErr = headers(in.GetHeaders(), out.RawHeaders)
	return out, firstError(pathErr, headersErr, bodyFault(size, maxBodyBytes))
}

// firstError is the first of errs that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func bodyFault(size, maxBodyBytes int) error {
	if size <= maxBodyBytes {
		return nil
	}
	return &authz.Error{
		Reason: authz.RequestTooLarge,
		Err:    fmt.Errorf("envoy: the body has %d bytes, request.maxBodyBytes is %d", size, maxBodyBytes),
	}
}

// headers makes one form of Envoy's two: headers, where repeated values are joined with ",", and
// header_map (encode_raw_headers), which wins where it is set, since Envoy then leaves the other empty.
func headers(joined map[string]string, raw []authz.RawHeader) (authz.Headers, error) {
	out := make(authz.Headers, max(len(joined), len(raw)))
	add := func(name, value string) {
		name = strings.ToLower(name)
		out[name] = append(out[name], value)
	}
	if raw == nil {
		// In order, so that two spellings of one name are read the same way every time.
		for _, name := range slices.Sorted(maps.Keys(joined)) {
			add(name, joined[name])
		}
		return out, nil
	}
	for _, header := range raw {
		value := header.Value
		if len(header.RawValue) > 0 {
			value = string(header.RawValue)
		}
		if !utf8.ValidString(value) {
			return out, malformed("a header value that is not UTF-8")
		}
		add(header.Name, value)
	}
	return out, nil
}

func rawHeaders(in *corev3.HeaderMap) []authz.RawHeader {
	if len(in.GetHeaders()) == 0 {
		return nil
	}
	out := make([]authz.RawHeader, 0, len(in.GetHeaders()))
	for _, header := range in.GetHeaders() {
		out = append(out, authz.RawHeader{Name: header.GetKey(), Value: header.GetValue(), RawValue: header.GetRawValue()})
	}
	return out
}

func peer(in *authv3.AttributeContext_Peer) authz.Peer {
	socket := in.GetAddress().GetSocketAddress()
	_, hasPort := socket.GetPortSpecifier().(*corev3.SocketAddress_PortValue)
	return authz.Peer{
		Address:     socket.GetAddress(),
		Port:        socket.GetPortValue(),
		NoPort:      socket != nil && !hasPort,
		Pipe:        in.GetAddress().GetPipe().GetPath(),
		Principal:   in.GetPrincipal(),
		Certificate: in.GetCertificate(),
		Service:     in.GetService(),
		Labels:      in.GetLabels(),
	}
}

// metadata is the untyped part; filters' typed metadata (Any) has no meaning we could know.
func metadata(in *corev3.Metadata) map[string]any {
	if in == nil {
		return nil
	}
	out := make(map[string]any, len(in.GetFilterMetadata()))
	for filter, values := range in.GetFilterMetadata() {
		out[filter] = values.AsMap()
	}
	return out
}
