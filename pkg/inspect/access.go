package inspect

import (
	"context"
	"crypto/x509"
	"net/netip"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// A Caller is who calls the service.
type Caller struct {
	Local       bool              // on a loopback address, or a Unix socket
	Certificate *x509.Certificate // that the admin listener has verified; nil: none
	Address     string            // "" of a Unix socket
}

// String names the caller in messages for the operator.
func (c Caller) String() string {
	switch {
	case c.Certificate != nil && len(c.Certificate.URIs) > 0:
		return c.Certificate.URIs[0].String()
	case c.Certificate != nil && len(c.Certificate.DNSNames) > 0:
		return c.Certificate.DNSNames[0]
	case c.Certificate != nil:
		return c.Certificate.Subject.String()
	case c.Address == "":
		return "a Unix socket"
	}
	return c.Address
}

func callerOf(ctx context.Context) (Caller, error) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return Caller{}, status.Error(codes.PermissionDenied, "it is not known who asks")
	}
	var c Caller
	if t, ok := from.AuthInfo.(credentials.TLSInfo); ok && len(t.State.VerifiedChains) > 0 {
		c.Certificate = t.State.VerifiedChains[0][0]
	}
	switch address := from.Addr.String(); address {
	case "", "@": // of a Unix socket's client, which file permissions let in
		c.Local = true
	default:
		c.Address = address
		at, err := netip.ParseAddrPort(address)
		c.Local = err == nil && at.Addr().Unmap().IsLoopback()
	}
	return c, nil
}

// mayAsk lets those ask who are on this machine, and those whose client certificate the admin listener
// has verified: /metrics may be for the network, what callers do is not.
func mayAsk(ctx context.Context) error {
	from, err := callerOf(ctx)
	if err != nil || from.Local || from.Certificate != nil {
		return err
	}
	return status.Error(codes.PermissionDenied,
		"inspection is for callers on the same machine, or with a client certificate that the admin listener verifies")
}

func onlyOperators(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := mayAsk(ctx); err != nil {
		return nil, err
	}
	return next(ctx, in)
}

func onlyOperatorsStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := mayAsk(stream.Context()); err != nil {
		return err
	}
	return next(server, stream)
}
