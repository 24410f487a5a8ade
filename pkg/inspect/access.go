package inspect

import (
	"context"
	"net/netip"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// mayAsk lets those ask who are on this machine, and those whose client certificate the admin listener
// has verified: /metrics may be for the network, what callers do is not.
func mayAsk(ctx context.Context) error {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return status.Error(codes.PermissionDenied, "it is not known who asks")
	}
	if t, ok := from.AuthInfo.(credentials.TLSInfo); ok && len(t.State.VerifiedChains) > 0 {
		return nil
	}
	switch address := from.Addr.String(); address {
	case "", "@": // of a Unix socket's client, which file permissions let in
		return nil
	default:
		if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Unmap().IsLoopback() {
			return nil
		}
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
