package server_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sallyport/sallyport/pkg/server"
)

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	address := server.Address{Network: "unix", Address: path}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false) // as if the process had been killed
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}

	start(t, server.Config{GRPC: address})
	health := healthpb.NewHealthClient(connect(t, "unix://"+path, insecure.NewCredentials()))
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("over the socket that replaced a stale one: %v", err)
	}
	if _, err := server.New(t.Context(), server.Config{GRPC: address, Register: func(grpc.ServiceRegistrar) {}}); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a second server on the socket: %v", err)
	}
}
