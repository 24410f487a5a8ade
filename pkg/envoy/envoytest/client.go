package envoytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxRequestBytes is max_request_bytes of deploy/envoy/envoy.yaml.
const maxRequestBytes = 1 << 20

// A Client is an [http.RoundTripper] that asks Sallyport about each request as Envoy would with
// deploy/envoy/envoy.yaml, and does with the answer what Envoy would.
type Client struct {
	Sallyport grpc.ClientConnInterface
	Upstream  string // host:port
}

// RoundTrip implements [http.RoundTripper].
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	ctx := metadata.AppendToOutgoingContext(req.Context(), "traceparent", traceparent())
	answer, err := authv3.NewAuthorizationClient(c.Sallyport).Check(ctx, checkRequest(req, body))
	switch {
	case err != nil:
		return response(req, http.StatusServiceUnavailable, nil, ""), nil //nolint:nilerr // Envoy's status_on_error
	case answer.GetStatus().GetCode() != 0:
		denied := answer.GetDeniedResponse()
		return response(req, int(denied.GetStatus().GetCode()), denied.GetHeaders(), denied.GetBody()), nil
	}
	return c.forward(req, body, answer.GetOkResponse())
}

func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	return io.ReadAll(req.Body)
}

func traceparent() string {
	var id [24]byte
	rand.Read(id[:])
	return "00-" + hex.EncodeToString(id[:16]) + "-" + hex.EncodeToString(id[16:]) + "-01"
}

func checkRequest(req *http.Request, body []byte) *authv3.CheckRequest {
	headers := &corev3.HeaderMap{}
	add := func(name, value string) {
		headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	add(":method", req.Method)
	add(":path", req.URL.RequestURI())
	add(":authority", req.URL.Host)
	add(":scheme", "http")
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		for _, value := range req.Header[name] {
			add(strings.ToLower(name), value)
		}
	}
	if len(body) > 0 {
		add("content-length", strconv.Itoa(len(body)))
		add("x-envoy-auth-partial-body", strconv.FormatBool(len(body) > maxRequestBytes))
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "127.0.0.1"}}}},
		Request: &authv3.AttributeContext_Request{
			Time: timestamppb.Now(),
			Http: &authv3.AttributeContext_HttpRequest{
				Method: req.Method, Path: req.URL.RequestURI(), Host: req.URL.Host, Scheme: "http", Protocol: "HTTP/1.1",
				HeaderMap: headers, RawBody: body[:min(len(body), maxRequestBytes)],
			},
		},
	}}
}

// forward sends what Sallyport made of the request upstream.
func (c *Client) forward(req *http.Request, body []byte, ok *authv3.OkHttpResponse) (*http.Response, error) {
	out := req.Clone(context.WithoutCancel(req.Context()))
	out.URL.Host, out.Body = c.Upstream, io.NopCloser(bytes.NewReader(body))
	for _, h := range ok.GetHeaders() {
		out.Header.Set(h.GetHeader().GetKey(), h.GetHeader().GetValue())
	}
	for _, name := range ok.GetHeadersToRemove() {
		out.Header.Del(name)
	}
	out.URL.RawQuery = mutateQuery(out.URL.RawQuery, ok)
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return nil, fmt.Errorf("envoytest: upstream: %w", err)
	}
	setHeaders(resp.Header, ok.GetResponseHeadersToAdd())
	return resp, nil
}

// mutateQuery compares names as they are spelled, as Envoy does, and sets what is encoded already.
func mutateQuery(query string, ok *authv3.OkHttpResponse) string {
	var pairs []string
	dropped := slices.Clone(ok.GetQueryParametersToRemove())
	for _, p := range ok.GetQueryParametersToSet() {
		dropped = append(dropped, p.GetKey())
	}
	for pair := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(pair, "="); pair != "" && !slices.Contains(dropped, name) {
			pairs = append(pairs, pair)
		}
	}
	for _, p := range ok.GetQueryParametersToSet() {
		pairs = append(pairs, p.GetKey()+"="+p.GetValue())
	}
	return strings.Join(pairs, "&")
}

func response(req *http.Request, status int, headers []*corev3.HeaderValueOption, body string) *http.Response {
	out := &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
	setHeaders(out.Header, headers)
	return out
}

func setHeaders(to http.Header, options []*corev3.HeaderValueOption) {
	for _, h := range options {
		if h.GetAppendAction() == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			to.Del(h.GetHeader().GetKey())
		}
		to.Add(h.GetHeader().GetKey(), h.GetHeader().GetValue())
	}
}
