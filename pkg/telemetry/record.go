package telemetry

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	grpccodes "google.golang.org/grpc/codes"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// Recorders count each record and write it on the check's span. Where there is nothing to watch
// with there are none.
func (t *Telemetry) Recorders() authz.Recorders {
	var all authz.Recorders
	if t.metrics != nil {
		all = append(all, t.metrics)
	}
	if t.tracer != nil {
		all = append(all, writer{})
	}
	return all
}

// A writer writes each decision on the check's span. No header, query or claim is written, since
// any of them may be a credential.
type writer struct{}

// Record implements [authz.Recorder].
func (writer) Record(ctx context.Context, record *authz.Record) error {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return nil
	}
	d := &record.Decision
	attributes := append(make([]attribute.KeyValue, 0, usualAttributes),
		attribute.String(keyDecisionID, record.ID),
		attribute.Bool(keyAllowed, d.Allowed),
		attribute.String(keyReason, string(d.Reason)),
	)
	for _, t := range []struct{ key, text string }{
		{keyDetail, mask.Free(d.Detail)},
		{keyRevision, d.Revision},
		{keyEntrypoint, d.Entrypoint},
		{keyPolicyRule, mask.Free(d.Named("rule"))},
		{keyRoute, mask.Free(d.Named("route"))},
		{keyPrincipal, record.Request.Source.Principal},
		{keyClientAddress, record.Request.Source.Address},
	} {
		if t.text != "" {
			attributes = append(attributes, attribute.String(t.key, t.text))
		}
	}
	if http := record.Request.HTTP; http != nil {
		attributes = httpAttributes(attributes, http)
	}
	if !d.Allowed && d.Status != 0 {
		attributes = append(attributes, attribute.Int(keyStatus, d.Status))
	}
	if failed(d.Reason) {
		attributes = append(attributes, attribute.String(keyErrorType, string(d.Reason)))
		span.SetStatus(codes.Error, mask.Free(d.Detail))
	}
	span.SetAttributes(attributes...)
	return nil
}

// usualAttributes is room for those of a check.
const usualAttributes = 16

// methods are those that OpenTelemetry knows; any other is the client's own text.
var methods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}

func httpAttributes(out []attribute.KeyValue, http *authz.HTTP) []attribute.KeyValue {
	method := http.Method
	if !slices.Contains(methods, method) {
		method = "_OTHER"
	}
	path, _, _ := strings.Cut(http.Path.Raw, "?")
	out = append(out, attribute.String(keyMethod, method), attribute.String(keyScheme, http.Scheme), attribute.String(keyPath, mask.Path(path)))
	host, port, err := net.SplitHostPort(http.Host)
	if err != nil {
		return append(out, attribute.String(keyServerAddress, http.Host))
	}
	out = append(out, attribute.String(keyServerAddress, host))
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		out = append(out, attribute.Int(keyServerPort, int(n)))
	}
	return out
}

// rpcStatus is a code as the protocol writes it (gRPC's statuscodes.md), where we answer with it.
func rpcStatus(code grpccodes.Code) string {
	switch code {
	case grpccodes.OK:
		return "OK"
	case grpccodes.Unavailable:
		return "UNAVAILABLE"
	}
	return strconv.Itoa(int(code))
}
